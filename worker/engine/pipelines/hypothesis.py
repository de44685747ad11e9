"""The template of a zero-shot task, from which each label becomes a text that the model reads."""

from string import Formatter

from jobs.errors import InvalidRequest


def checked(template: str) -> str:
    """Returns the template if it contains `{}` exactly once and no other field.

    A client's template must not reach into objects (`{0.x}`) or ask for a gigabyte of blanks
    (`{:>1000000000}`).
    """
    try:
        fields = [part[1:] for part in Formatter().parse(template) if part[1] is not None]
    except ValueError:
        fields = []
    if fields != [("", "", None)]:
        raise InvalidRequest(
            "hypothesis_template must contain {} exactly once, where the label goes",
            pointer="/parameters/hypothesis_template",
        )
    return template

"""Environment variables that look like settings and are none: misspelt ones are reported."""

import difflib
import os
import re
from collections.abc import Callable, Mapping

from jobs.settings import PREFIX, Settings

SETTINGS_CHECKED = f"{PREFIX}SETTINGS_CHECKED"
"""Set for child processes: unknown variables have already been reported."""

INTERNAL_VARIABLES = frozenset({SETTINGS_CHECKED, f"{PREFIX}STARTED_AS", f"{PREFIX}CRASH_AT"})
"""Internal variables for our processes and tests; not settings for an operator."""

CLIENT_VARIABLES = frozenset({f"{PREFIX}API_KEY"})
"""Variables of `batchline top`, which is a client and does not read these settings."""

_KUBERNETES = re.compile(r"_SERVICE_(HOST|PORT(_\w+)?)=|_PORT(_\d+_(TCP|UDP|SCTP)(_\w+)?)?=")
"""Variables that Kubernetes sets in a pod for each Service, for example one named `batchline-api`."""


def warn_of_unknown(warn: Callable[[str], object]) -> None:
    """Calls `warn` with a sentence for each `BATCHLINE_*` variable that is not a setting.

    Only once for this program and its children. Not an error: another program may use the variable.
    """
    if os.environ.get(SETTINGS_CHECKED) != "1":
        for sentence in unknown_variables(os.environ):
            warn(sentence)
        os.environ[SETTINGS_CHECKED] = "1"


def unknown_variables(environment: Mapping[str, str]) -> list[str]:
    """Returns a sentence for each, with the most similar setting. Contains no values: they may be secret."""
    known = [name.upper() for name in Settings.model_fields]
    sentences = []
    for variable in sorted(environment):
        name = variable.upper().removeprefix(PREFIX)
        if (
            name == variable.upper()
            or name in known
            or PREFIX + name in INTERNAL_VARIABLES | CLIENT_VARIABLES
        ):
            continue
        if _KUBERNETES.search(f"{name}="):
            continue
        similar = difflib.get_close_matches(name, known, 1)
        hint = (
            f"did you mean {PREFIX}{similar[0]}?"
            if similar
            else "the settings are listed in docs/configuration.md"
        )
        sentences.append(f"{variable} is not a setting of Batchline; {hint}")
    return sentences

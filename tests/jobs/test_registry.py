"""Every task of the installed transformers is served, or docs/tasks.md says why it is not."""

import re
from pathlib import Path

from transformers.pipelines import SUPPORTED_TASKS, TASK_ALIASES

from jobs import tasks

PAGE = (Path(__file__).parents[2] / "docs/tasks.md").read_text(encoding="utf-8")

REMOVED = {
    "conversational",
    "image-to-image",
    "image-to-text",
    "question-answering",
    "summarization",
    "text2text-generation",
    "translation",
    "visual-question-answering",
}
"""Tasks of transformers 4 that release 5 no longer has."""


def not_served() -> dict[str, str]:
    """The table "Not served": task -> the reason."""
    table = PAGE.partition("## Not served")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| ([a-z0-9-]+) \| (.+) \|$", table, re.MULTILINE)
    return dict(rows[2:])  # without the head


def test_every_task_of_transformers_is_served_or_explained() -> None:
    known = {*SUPPORTED_TASKS, *TASK_ALIASES, *REMOVED}
    assert known == {name for name in known if tasks.find(name)} | not_served().keys()
    assert not known.isdisjoint(tasks.TASKS), "the names are transformers' own"


def test_an_alias_of_transformers_is_one_of_ours() -> None:
    for alias, name in TASK_ALIASES.items():
        if (task := tasks.find(alias)) is not None:
            assert task is tasks.find(name)


def test_a_task_is_not_served_for_a_reason() -> None:
    assert not_served()
    assert all(tasks.find(name) is None and reason for name, reason in not_served().items())

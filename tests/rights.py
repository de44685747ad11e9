"""The ACL rights that docs/deployment.md names, so that the tests run with what operators are told."""

import re

from tests.processes import ROOT
from tests.valkey import knows_waitaof

USER = "batchline"


def rights(user: str, password: str) -> list[str]:
    """The arguments of ACL SETUSER, and of the `user` line of a configuration file."""
    text = (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")
    documented = re.search(rf"^user {USER} on >PASSWORD (.*)$", text, re.MULTILINE)
    assert documented, "docs/deployment.md names no rights"
    known = [right for right in documented[1].split() if right != "+waitaof" or knows_waitaof()]
    return [user, "on", f">{password}", *known]

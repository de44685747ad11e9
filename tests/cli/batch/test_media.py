"""An archive of media is uploaded once for all batches; the lifetime is that of every file."""

import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.cli.batch.conftest import Run, lines, table
from tests.cli.batch.stand_in import StandIn

ASKED = ("--model", "sentiment", "--column", "text", "-o", "out.jsonl")


def archive(path: str = "photos.zip", content: str = "a picture") -> str:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("cat.png", content)
    return path


def test_an_archive_is_sent_once_and_deleted_at_the_end(run: Run, server: StandIn) -> None:
    seen: list[bytes] = []
    upper = server.answer

    def answered(line: dict[str, Any]) -> dict[str, Any]:
        seen.append(server.files["file-0"])
        return upper(line)

    server.answer = answered
    assert run(table(4), *ASKED, "--media", archive(), "--batch-lines", "2") == 0
    assert {batch["media_file_id"] for batch in server.batches.values()} == {"file-0"}
    assert len(server.batches) == 2
    month = {"expires_after[anchor]": "created_at", "expires_after[seconds]": "2592000"}
    assert server.forms["file-0"] == {"purpose": "user_data"} | month
    assert server.forms["file-1"] == {"purpose": "batch"}
    assert seen[0].startswith(b"PK")
    assert server.calls.count("DELETE /v1/files/file-0") == 1
    assert [row["output"] for row in lines("out.jsonl")] == [f"TEXT {i}" for i in range(4)]


def test_an_archive_that_was_sent_is_not_sent_again(run: Run, server: StandIn) -> None:
    server.refuses = {"POST /v1/batches": 403}
    asked = [table(2), *ASKED, "--media", archive()]
    assert run(*asked) == 1
    assert run(*asked) == 0
    purposes = [form["purpose"] for form in server.forms.values()]
    assert purposes == ["user_data", "batch"]


def test_another_archive_is_another_run(
    run: Run, server: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    server.refuses = {"POST /v1/batches": 403}
    asked = [table(2), *ASKED, "--media"]
    assert run(*asked, archive()) == 1
    assert run(*asked, archive(content="another picture")) == 1
    assert "unfinished run with another INPUT or other arguments" in capsys.readouterr().err


def test_the_lifetime_is_that_of_all_files(run: Run, server: StandIn) -> None:
    assert run(table(2), *ASKED, "--media", archive(), "--expires-after", "3600") == 0
    for form in server.forms.values():
        assert form["expires_after[seconds]"] == "3600"
    [batch] = server.batches.values()
    assert batch["output_expires_after"] == {"anchor": "created_at", "seconds": 3600}


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("gone.zip", None, "gone.zip cannot be read: No such file or directory"),
        ("odd.zip", b"no archive", "odd.zip is no zip archive"),
    ],
)
def test_what_is_no_archive_is_not_sent(
    run: Run,
    server: StandIn,
    capsys: pytest.CaptureFixture[str],
    name: str,
    content: bytes | None,
    sentence: str,
) -> None:
    if content is not None:
        Path(name).write_bytes(content)
    assert run(table(2), *ASKED, "--media", name) == 1
    assert capsys.readouterr().err == f"batchline batch: {sentence}\n"
    assert not server.calls


@pytest.mark.parametrize("seconds", ["3599", "2592001", "soon", "-1"])
def test_a_lifetime_that_no_server_takes_is_a_wrong_argument(run: Run, seconds: str) -> None:
    with pytest.raises(SystemExit) as ended:
        run("in.csv", *ASKED, f"--expires-after={seconds}")
    assert ended.value.code == 2

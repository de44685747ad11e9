"""What is wrong is one sentence on stderr, and nothing was sent."""

import os
import sys
from pathlib import Path

import pytest

from cli.batch import command, state
from tests.cli.batch.stand_in import StandIn
from tests.ports import free_port

GOOD = '{"text": "a", "n": 1}\n'


@pytest.fixture(scope="module")
def served() -> StandIn:
    return StandIn()


REFUSALS = {
    "no file": (None, [], "in.jsonl cannot be read: No such file or directory"),
    "no column": (GOOD, ["--column", "texts"], "there is no column 'texts'; there are text, n"),
    "no such part": (GOOD, ["--column", "a=b"], "there is no column 'b'; there are text, n"),
    "several columns": ('{"a": 1, "b": 2}\n', [], "name the input's column with --column; there are a, b"),
    "no JSON": (GOOD + "{", [], "in.jsonl, line 2, is no JSON object: "),
    "too deep": (GOOD + '{"a": ' + "[" * 2000, [], "in.jsonl, line 2, is no JSON object: "),
    "no object": ("[1]\n", [], "in.jsonl, line 1, is no JSON object: "),
    "not UTF-8": (b'{"text": "\xff"}\n', [], "in.jsonl, line 1, is no JSON object: "),
    "a row without it": (GOOD + '{"n": 2}\n', [], "row 2 has no column 'text'"),
    "empty": ("", [], "name the input's column with --column; there are none"),
    "no model": (GOOD, ["--model", "nix"], "no model named 'nix' is served; there are sentiment"),
    "a bad body": (GOOD, ["--body", "[]"], "--body must be a JSON object: "),
    "a kind of file": (GOOD, ["-o", "out.txt"], "out.txt must end in one of .jsonl, .csv, .parquet"),
    "its own column": (GOOD, ["--output-column", "n"], "INPUT has a column 'n' already: give another name"),
    "the column of a label": (
        '{"text": "a", "output_label": 1}\n',
        ["--column", "text"],
        "INPUT has a column",
    ),
    "nothing to cancel": (GOOD, ["--cancel"], "there is no unfinished run that writes out.jsonl"),
    "a large row": (GOOD, ["--batch-bytes", "9"], "request 1 has 95 bytes; a batch may have 9"),
    "no address": (GOOD, ["--url", "nonsense"], "nonsense is no address of a server: "),
    "a key with a line break": (GOOD, ["--api-key", "a\nb"], "the API key has characters that no key has"),
    "no folder for OUT": (
        GOOD,
        ["-o", "no/out.jsonl"],
        "no/out.jsonl cannot be written: No such file or directory",
    ),
    "a file as its folder": (
        GOOD,
        ["-o", "in.jsonl/a.csv"],
        "in.jsonl/a.csv cannot be written: Not a directory",
    ),
    "one name for two columns": (
        GOOD,
        ["--error-column", "output"],
        "--output-column and --error-column name",
    ),
    "that of the label": (
        GOOD,
        ["--error-column", "output_label"],
        "--output-column and --error-column name",
    ),
    "a deep body": (GOOD, ["--body", '{"a":' * 5000], "--body must be a JSON object: "),
    "half an address": (GOOD, ["--url", "http://[::1"], "http://[::1 is no address of a server: "),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_what_is_wrong_is_said(
    name: str,
    served: StandIn,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    content, arguments, sentence = REFUSALS[name]
    served.calls.clear()
    if content is not None:
        Path("in.jsonl").write_bytes(content if isinstance(content, bytes) else content.encode())
    with served.running():
        usual = ["in.jsonl", "--model", "sentiment", "-o", "out.jsonl", "--url", served.url]
        status = command.main(["run", *usual, *arguments])
    said = capsys.readouterr()
    assert (status, said.out) == (1, "")
    told = said.err.splitlines()[-1]
    assert told.startswith(f"batchline batch: {sentence}")
    assert not any(call.startswith("POST") for call in served.calls)
    assert not state.path_of(Path("out.jsonl")).exists()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "in.csv is empty"),
        ("a,a\n1,2\n", "in.csv has two columns with the same name"),
        ("text,n\na\n", "in.csv, row 1, has 1 fields, and its header 2"),
        ('text\n"a', "in.csv is no CSV file"),
        (b"text\n\xff\n", "in.csv is not UTF-8"),
    ],
)
def test_bad_csv(
    content: str | bytes,
    sentence: str,
    served: StandIn,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("in.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    with served.running():
        status = command.main(
            ["run", "in.csv", "--model", "sentiment", "-o", "o.csv", "--column", "text", "--url", served.url]
        )
    assert status == 1
    assert sentence in capsys.readouterr().err


def test_bad_parquet_and_no_pyarrow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("in.parquet").write_bytes(b"PAR1 nonsense")
    asked = ["run", "in.parquet", "--model", "m", "-o", "out.jsonl"]
    assert command.main(asked) == 1
    assert "in.parquet is no Parquet file" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert command.main(asked) == 1
    assert 'pip install "batchline[parquet]"' in capsys.readouterr().err


def test_a_server_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = tmp_path / "in.jsonl"
    given.write_text(GOOD)
    url = f"http://127.0.0.1:{free_port()}"
    asked = ["run", str(given), "--model", "m", "-o", str(tmp_path / "out.jsonl"), "--url", url]
    assert command.main(asked) == 1
    assert capsys.readouterr().err.startswith(f"batchline batch: {url} cannot be reached: ")


def test_keys(
    served: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BATCHLINE_API_KEY", raising=False)
    Path("in.jsonl").write_text(GOOD)
    usual = ["run", "in.jsonl", "--model", "sentiment", "-o", "out.jsonl", "--url", served.url]
    served.key = "good"
    try:
        with served.running():
            assert command.main(usual) == 1
            assert (
                "requires an API key: give one with --api-key or in BATCHLINE_API_KEY"
                in capsys.readouterr().err
            )
            assert command.main([*usual, "--api-key", "other"]) == 1
            assert "(it refused this one)" in capsys.readouterr().err
            monkeypatch.setenv("BATCHLINE_API_KEY", "good")
            assert command.main(usual) == 0
    finally:
        served.key = None


def test_a_file_that_the_server_refuses(
    served: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The next run starts anew, because the same file would be refused again."""
    monkeypatch.chdir(tmp_path)
    Path("in.jsonl").write_text(GOOD)
    faults = [{"code": "invalid_json_line", "line": i, "message": f"fault {i}"} for i in range(1, 6)]
    batch = {"id": "batch_x", "status": "failed", "errors": {"object": "list", "data": faults}}
    key = state.key_of(Path("in.jsonl"), served.url, "/v1/jobs", "sentiment", [], "{}")
    saved = state.path_of(Path("out.jsonl"))
    state.save(saved, state.State(key, parts=[state.Part(1, "file-x", "batch_x")], complete=True))
    served.batches["batch_x"] = batch
    with served.running():
        assert (
            command.main(["run", "in.jsonl", "--model", "sentiment", "-o", "out.jsonl", "--url", served.url])
            == 1
        )
    said = capsys.readouterr().err
    assert (
        "refused the file of batch batch_x: line 1: fault 1; line 2: fault 2; line 3: fault 3; and 2 more"
        in said
    )
    assert not saved.exists()


def test_list_status_and_cancel(served: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    batches = [
        {"id": f"batch_{i}", "status": "in_progress", "created_at": 1_790_000_000, "endpoint": "/v1/jobs"}
        | {"request_counts": {"total": 4_000, "completed": 1_500, "failed": 2}}
        for i in range(3)
    ]
    served.held = True
    served.batches = {str(each["id"]): each for each in batches}
    try:
        with served.running():
            assert command.main(["list", "--limit", "2", "--url", served.url]) == 0
            rest = "2026-09-21 14:13:20 UTC  /v1/jobs  in_progress  1,502 of 4,000 done, 2 failed"
            assert capsys.readouterr().out.splitlines() == [f"batch_2  {rest}", f"batch_1  {rest}"]
            assert command.main(["status", "batch_0", "--url", served.url]) == 0
            assert capsys.readouterr().out.splitlines() == [f"batch_0  {rest}"]
            assert command.main(["cancel", "batch_0", "--url", served.url]) == 0
            assert "  cancelled  " in capsys.readouterr().out
            assert command.main(["status", "nix", "--url", served.url]) == 1
            assert "answered 404" in capsys.readouterr().err
    finally:
        served.held = False
        served.batches.clear()
    assert batches[0]["status"] == "cancelled"


def test_a_folder_is_neither_input_nor_output(
    served: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("in.jsonl").write_text(GOOD)
    Path("folder.csv").mkdir()
    how = ["--model", "sentiment", "--url", served.url]
    assert command.main(["run", "in.jsonl", "-o", "folder.csv", *how]) == 1
    assert command.main(["run", "folder.csv", "-o", "out.csv", *how]) == 1
    assert capsys.readouterr().err.splitlines() == [
        "batchline batch: folder.csv is a folder: give the name of a file",
        "batchline batch: folder.csv cannot be read: Is a directory",
    ]


def test_an_argument_that_is_no_text_is_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        command.main(["run", "in.csv", "--model", os.fsdecode(b"\xff"), "-o", "out.csv"])
    assert ended.value.code == 2
    assert "is not UTF-8" in capsys.readouterr().err


@pytest.mark.parametrize("proxy", ["foo://a", "socks5://a:1"])
def test_a_proxy_that_cannot_be_used_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], proxy: str
) -> None:
    monkeypatch.setenv("HTTP_PROXY", proxy)
    assert command.main(["list", "--url", "http://127.0.0.1:1"]) == 1
    assert capsys.readouterr().err.startswith(
        "batchline batch: the proxy that the environment names cannot be "
    )


def test_a_reader_that_leaves_is_no_error(served: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in `batchline batch list | head -1`: Python would complain when it ends, too."""
    reading, writing = os.pipe()
    os.close(reading)
    served.batches = {str(i): {"id": f"batch_{i}", "status": "completed"} for i in range(3)}
    with served.running(), os.fdopen(writing, "w") as out:
        monkeypatch.setattr(sys, "stdout", out)
        assert command.main(["list", "--url", served.url]) == 0
    served.batches.clear()

"""ClientProcess: a process of the clients' environment that runs functions of `tests/clients/calls/`.

It lives as long as the tests, because some clients take seconds to import.
"""

import asyncio
import itertools
import json
import os
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]

ENVIRONMENT = Path(os.environ.get("TEST_CLIENTS") or ROOT / ".venv-clients")
"""The environment with the clients. `make` creates it."""

MISSING = f"there are no clients in {ENVIRONMENT}; `make clients` installs them"


class ClientRaised(Exception):
    """The client raised an exception."""

    def __init__(self, raised: dict[str, Any]) -> None:
        super().__init__(raised["message"])
        self.kind: str = raised["kind"]
        """The name of the exception's class."""
        self.status: int | None = raised["status"]
        self.message: str = raised["message"]
        self.body: Any = raised["body"]
        """The decoded body of the answer, as far as the exception has it."""


def installed() -> bool:
    return (ENVIRONMENT / "bin" / "python").exists()


class ClientProcess:
    """Calls of clients. Several may run at the same time."""

    def __init__(self) -> None:
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("BATCHLINE_", "OPENAI_", "HF_", "CO_API", "LANGCHAIN_"))
        }
        offline = {
            "HF_HUB_OFFLINE": "1",
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "LANGSMITH_TRACING": "false",
            "HF_HUB_DISABLE_TELEMETRY": "1",
        }
        self._process = subprocess.Popen(
            [ENVIRONMENT / "bin" / "python", "-m", "tests.clients.process"],
            cwd=ROOT,
            env=environment | offline,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._ids = itertools.count()
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        threading.Thread(target=self._read, daemon=True).start()

    async def call(self, function: str, **arguments: Any) -> Any:
        """Runs `module:function` of `tests/clients/calls/`, and returns its result. Raises ClientRaised."""
        assert self._process.stdin is not None
        number, answer = next(self._ids), asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        line = json.dumps({"id": number, "function": function, "arguments": arguments})
        self._process.stdin.write(line.encode() + b"\n")
        self._process.stdin.flush()
        async with asyncio.timeout(100):
            found = await answer
        if "raised" in found:
            raise ClientRaised(found["raised"])
        return found["result"]

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(20)

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            answer = json.loads(line)
            future = self._waiting.pop(answer["id"])
            with suppress(RuntimeError):  # the test has failed, and its loop is closed
                future.get_loop().call_soon_threadsafe(_resolve, future, answer)


def _resolve(future: asyncio.Future[dict[str, Any]], answer: dict[str, Any]) -> None:
    if not future.done():
        future.set_result(answer)


def _answered(request: dict[str, Any]) -> dict[str, Any]:
    module, _, name = request["function"].partition(":")
    try:
        __import__(found := f"tests.clients.calls.{module}")
        return {"result": getattr(sys.modules[found], name)(**request["arguments"])}
    except Exception as error:
        status = getattr(error, "status_code", None) or getattr(
            getattr(error, "response", None), "status_code", None
        )
        body = getattr(error, "body", None)
        try:
            json.dumps(body)
        except TypeError:
            body = str(body)
        kind = type(error).__name__
        return {"raised": {"kind": kind, "status": status, "message": str(error), "body": body}}


def main() -> None:
    """Answers the calls of standard input, each in a thread of its own, until it ends."""
    output, writing = os.fdopen(os.dup(1), "w", encoding="utf-8"), threading.Lock()
    os.dup2(2, 1)  # what a client prints must not be among the answers

    def answer(line: str) -> None:
        request = json.loads(line)
        found = json.dumps({"id": request["id"], **_answered(request)})
        with writing:
            output.write(found + "\n")
            output.flush()

    for line in sys.stdin:
        threading.Thread(target=answer, args=(line,), daemon=True).start()


if __name__ == "__main__":
    main()

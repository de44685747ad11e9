"""A real S3 server, SeaweedFS: it checks signatures, and keeps objects in volumes of its own."""

import itertools
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from tests.ports import free_port

WEED = Path(sys.executable).parent / "weed"

KEY, SECRET = "key", "secret-of-the-tests"

BUCKET = "bucket"

IDENTITIES = {
    "identities": [
        {
            "name": "tests",
            "credentials": [{"accessKey": KEY, "secretKey": SECRET}],
            "actions": ["Admin", "Read", "Write", "List"],
        }
    ]
}

OPTIONS = (
    *("-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3"),
    *("-master.volumeSizeLimitMB=64", "-volume.max=50", "-master.telemetry=false"),
    *("-s3.port.iceberg=0", "-s3.port.lance=0"),
)


class Server:
    """The server, and how obstore finds it."""

    def __init__(self, port: int) -> None:
        self.environment = environment(port)
        self._numbers = itertools.count()

    def new_url(self) -> str:
        """An address below which nothing is stored."""
        return f"s3://{BUCKET}/test-{next(self._numbers)}"

    def make_bucket(self) -> None:
        """Makes the bucket. Raises an error of obstore while the server does not serve."""
        store = S3Store(
            BUCKET,
            endpoint=self.environment["AWS_ENDPOINT_URL"],
            access_key_id=KEY,
            secret_access_key=SECRET,
            client_options={"allow_http": True},
            retry_config={"max_retries": 0, "retry_timeout": timedelta(seconds=1)},
        )
        obstore.put(store, "made", b"")


def environment(port: int) -> dict[str, str]:
    """The variables by which obstore finds a server on that port."""
    return {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_REGION": "us-east-1",
    }


@contextmanager
def running(folder: Path) -> Iterator[Server]:
    """A server until the block ends."""
    (identities := folder / "identities.json").write_text(json.dumps(IDENTITIES))
    (data := folder / "data").mkdir()
    ports = {
        f"{name}.port{kind}": free_port() for name in ("master", "volume", "filer") for kind in ("", ".grpc")
    }
    ports |= {"s3.port": free_port(), "s3.port.grpc": free_port()}
    command = [str(WEED), "-logtostderr=true", "server", f"-dir={data}", f"-s3.config={identities}", *OPTIONS]
    command += [f"-{name}={port}" for name, port in ports.items()]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            server = Server(ports["s3.port"])
            _wait_for(server, process, folder / "log")
            yield server
        finally:
            process.kill()
            process.wait(10)
            for name, port in ports.items():  # where it always puts its sockets
                server_name, _, kind = name.partition(".port")
                socket = f"/tmp/seaweedfs-{server_name}{kind.replace('.', '-')}-{port}.sock"  # noqa: S108
                Path(socket).unlink(missing_ok=True)


def _wait_for(server: Server, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + 60
    while True:
        assert process.poll() is None, log.read_text()
        try:
            server.make_bucket()
        except (BaseError, OSError):
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.02)
        else:
            return

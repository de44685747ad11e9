"""`python -m tests.bench.peers.server`: a peer for the tests; PEER_SIZE selects its behaviour.

The right embedding is [0.6, 0.8]. The stubborn one prints the id of a child that SIGTERM does not end.
"""

import json
import os
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

RIGHT, WRONG, REFUSES, DIES, DEAF, STUBBORN = range(6)
BEHAVIOUR = int(os.environ.get("PEER_SIZE", "0"))
SLEEPER = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(300)"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        body = json.dumps({"embedding": [0.8, 0.6] if BEHAVIOUR == WRONG else [0.6, 0.8]}).encode()
        self.send_response(503 if BEHAVIOUR == REFUSES else 200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is its base's
        pass


def main() -> None:
    if BEHAVIOUR == DIES:
        sys.exit("there is no model")
    if BEHAVIOUR == STUBBORN:
        child = subprocess.Popen([sys.executable, "-c", SLEEPER], start_new_session=True)
        sys.stdout.write(f"{child.pid}\n")
        sys.stdout.flush()
    ThreadingHTTPServer(("127.0.0.1", int(os.environ["PEER_PORT"])), Handler).serve_forever()


if __name__ == "__main__":
    main()

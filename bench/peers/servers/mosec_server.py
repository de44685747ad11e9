"""mosec: a Rust server that collects batches and passes them to a Python worker over a socket.

The port is in MOSEC_PORT, because mosec reads only its own variables.
"""

from typing import Any

from mosec import Server, Worker

from bench.peers.servers.embedder import MODEL, SIZE, WAIT, Embedder


class Embed(Worker):
    def __init__(self) -> None:
        self.embedder = Embedder()

    def forward(self, data: Any) -> Any:
        if SIZE == 1:  # then it is called with one request, otherwise with a list
            return {"embedding": self.embedder([data["text"]])[0].tolist()}
        return [{"embedding": row} for row in self.embedder([one["text"] for one in data]).tolist()]


class Echo(Worker):
    def forward(self, data: Any) -> Any:
        return data


if __name__ == "__main__":
    server = Server()
    server.append_worker(Embed if MODEL else Echo, num=1, max_batch_size=SIZE, max_wait_time=int(WAIT))
    server.run()

"""LitServe: the API process passes requests to a worker process, which batches requests in its queue."""

from typing import Any

import litserve

from bench.peers.servers.embedder import MODEL, PORT, SIZE, WAIT, Embedder


class Embed(litserve.LitAPI):
    def setup(self, device: str) -> None:
        self.embedder = Embedder()

    def decode_request(self, request: dict[str, str]) -> str:
        return request["text"]

    def batch(self, inputs: list[str]) -> list[str]:
        return inputs

    def predict(self, batch: Any) -> Any:
        return self.embedder(batch if isinstance(batch, list) else [batch])

    def unbatch(self, output: Any) -> Any:
        return list(output)

    def encode_response(self, output: Any) -> dict[str, Any]:
        return {"embedding": output.reshape(-1).tolist()}


class Echo(litserve.LitAPI):
    def setup(self, device: str) -> None:
        pass

    def decode_request(self, request: dict[str, str]) -> str:
        return request["text"]

    def batch(self, inputs: list[str]) -> list[str]:
        return inputs

    def predict(self, batch: Any) -> Any:
        return batch

    def unbatch(self, output: Any) -> Any:
        return output

    def encode_response(self, output: str) -> dict[str, Any]:
        return {"text": output}


if __name__ == "__main__":
    api = (Embed if MODEL else Echo)(max_batch_size=SIZE, batch_timeout=WAIT / 1000)
    server = litserve.LitServer(api, accelerator="cpu", timeout=60)
    server.run(host="127.0.0.1", port=PORT, log_level="warning", generate_client_file=False)

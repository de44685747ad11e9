"""LitServe: the API process passes requests to a worker process, which decodes and batches them."""

from typing import Any

import litserve

from bench.media.servers.classifier import PORT, SIZE, WAIT, Classifier


class Classify(litserve.LitAPI):
    def setup(self, device: str) -> None:
        self.classifier = Classifier()

    def decode_request(self, request: dict[str, str]) -> Any:
        return self.classifier.decode(request["image"])

    def batch(self, inputs: list[Any]) -> list[Any]:
        return inputs

    def predict(self, batch: Any) -> Any:
        return self.classifier(batch if isinstance(batch, list) else [batch])

    def unbatch(self, output: Any) -> Any:
        return output

    def encode_response(self, output: Any) -> dict[str, Any]:
        return {"labels": output}


if __name__ == "__main__":
    api = Classify(max_batch_size=SIZE, batch_timeout=WAIT / 1000)
    server = litserve.LitServer(api, accelerator="cpu", timeout=60)
    server.run(host="127.0.0.1", port=PORT, log_level="warning", generate_client_file=False)

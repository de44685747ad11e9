"""MLServer: adaptive batching of requests of the Open Inference Protocol, and a process for inference."""

import asyncio

import numpy as np
from mlserver import MLModel, MLServer, ModelSettings, Settings
from mlserver.codecs import StringCodec
from mlserver.types import InferenceRequest, InferenceResponse, ResponseOutput

from bench.peers.servers.embedder import MODEL, PORT, SIZE, WAIT, Embedder


class Embed(MLModel):
    async def load(self) -> bool:
        self.embedder = Embedder()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        rows = np.asarray(self.embedder(texts(payload)))
        shape, values = list(rows.shape), rows.ravel().tolist()
        output = ResponseOutput(name="embedding", shape=shape, datatype="FP32", data=values)
        return InferenceResponse(model_name=self.name, outputs=[output])


class Echo(MLModel):
    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        return InferenceResponse(
            model_name=self.name, outputs=[StringCodec.encode_output("text", texts(payload))]
        )


def texts(payload: InferenceRequest) -> list[str]:
    found: list[str] = StringCodec.decode_input(payload.inputs[0])
    return found


async def serve() -> None:
    settings = Settings(host="127.0.0.1", http_port=PORT, grpc_port=0, metrics_port=0, debug=False)
    model = ModelSettings(
        name="embed",
        implementation=f"{__spec__.name}.{'Embed' if MODEL else 'Echo'}",
        max_batch_size=SIZE,
        max_batch_time=WAIT / 1000,
    )
    await MLServer(settings).start([model])


if __name__ == "__main__":
    asyncio.run(serve())

"""BentoML: a service whose dispatcher forms the batches and estimates how long a batch takes.

Run it with `bentoml serve bench.peers.servers.bentoml_server:Embed` (or `:Echo`).
"""

import bentoml
import numpy as np

from bench.peers.servers.embedder import SIZE, Embedder


@bentoml.service(workers=1, traffic={"timeout": 60})
class Embed:
    def __init__(self) -> None:
        self.embedder = Embedder()

    @bentoml.api(batchable=True, max_batch_size=SIZE)
    def embed(self, texts: list[str]) -> np.ndarray:
        embeddings: np.ndarray = self.embedder(texts)
        return embeddings


@bentoml.service(workers=1, traffic={"timeout": 60})
class Echo:
    @bentoml.api(batchable=True, max_batch_size=SIZE)
    def echo(self, texts: list[str]) -> list[str]:
        return texts

"""The model of all servers without their own implementation: transformers, mean pooling, float32."""

import os
from typing import Any

PORT = int(os.environ.get("PEER_PORT", "0"))
REDIS = os.environ.get("PEER_REDIS", "redis://127.0.0.1:6379")
MODEL = os.environ.get("PEER_MODEL", "")
SIZE = int(os.environ.get("PEER_SIZE", "1"))
WAIT = float(os.environ.get("PEER_WAIT", "0"))


class Embedder:
    """Computes embeddings: takes texts, runs them as one batch, returns float32 [texts, components]."""

    def __init__(self) -> None:
        import torch  # imported here because the echo does not need it
        from transformers import AutoModel, AutoTokenizer

        self.tokenizer: Any = AutoTokenizer.from_pretrained(MODEL, local_files_only=True)
        self.model: Any = AutoModel.from_pretrained(MODEL, local_files_only=True, dtype=torch.float32).eval()
        print(f"{torch.get_num_threads()} threads", flush=True)

    def __call__(self, texts: list[str]) -> Any:
        import torch

        with torch.inference_mode():
            inputs = self.tokenizer(texts, padding=True, truncation=True, return_tensors="pt")
            hidden = self.model(**inputs)[0]
            mask = inputs["attention_mask"][..., None]
            return ((hidden * mask).sum(dim=1) / mask.sum(dim=1)).numpy()

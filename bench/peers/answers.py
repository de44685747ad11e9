"""Bodies of requests and the embeddings in answers, as each peer has them."""

import json


def text(value: str) -> object:
    return {"text": value}


def texts(value: str) -> object:
    return {"texts": [value]}


def openai(value: str) -> object:
    return {"model": "minilm", "input": value}


def v2(value: str) -> object:
    """Returns a body of the Open Inference Protocol."""
    return {"inputs": [{"name": "text", "shape": [1], "datatype": "BYTES", "data": [value]}]}


def embedding(body: bytes | str) -> list[float]:
    vector: list[float] = json.loads(body)["embedding"]
    return vector


def first_row(body: bytes | str) -> list[float]:
    vector: list[float] = json.loads(body)[0]
    return vector


def openai_embedding(body: bytes | str) -> list[float]:
    vector: list[float] = json.loads(body)["data"][0]["embedding"]
    return vector


def v2_embedding(body: bytes | str) -> list[float]:
    vector: list[float] = json.loads(body)["outputs"][0]["data"]
    return vector

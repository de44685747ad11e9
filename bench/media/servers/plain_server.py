"""Plain FastAPI: a `def` endpoint, which Starlette runs in its thread pool, a batch of one each."""

from typing import Any

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

from bench.media.servers.classifier import PORT, Classifier

classifier = Classifier()
app = FastAPI()


class Image(BaseModel):
    image: str


@app.post("/predict")
def predict(body: Image) -> dict[str, Any]:
    return {"labels": classifier([classifier.decode(body.image)])[0]}


if __name__ == "__main__":
    uvicorn.run(app, port=PORT, access_log=False, log_level="warning")

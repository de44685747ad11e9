"""`python -m bench.plain PORT`: a FastAPI endpoint that echoes, without queue, worker or storage.

Served like Batchline's API: uvicorn with uvloop and httptools, one process, no access log.
"""

import sys
from typing import Any

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()


class Job(BaseModel):
    model: str
    inputs: str | list[str]


@app.post("/echo")
async def echo(job: Job) -> dict[str, Any]:
    inputs = job.inputs if isinstance(job.inputs, list) else [job.inputs]
    return {"status": "succeeded", "results": [{"output": text} for text in inputs]}


if __name__ == "__main__":
    uvicorn.run(
        app,
        port=int(sys.argv[1]),
        loop="uvloop",
        http="httptools",
        ws="none",
        access_log=False,
        server_header=False,
        log_level="warning",
    )

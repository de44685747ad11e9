"""Descriptions of each field of bodies and answers. `api/v1/openapi.py` adds them to the description.

A test fails if a field of a schema there has no description here.
"""

INTRODUCTION = """Submit inputs as a *job*; the answer has its id. The server runs jobs in micro-batches.

- `POST /v1/jobs` with `Prefer: wait=10` returns the results if the job ends within 10 s.
- An image, a sound or a video is sent as base64 in JSON, as the body itself, in a form, or as a link.
- `GET /v1/jobs/{id}?wait=10` waits for the end of a submitted job.
- `GET /v1/jobs/{id}/events` streams the job's states and its progress.
- `GET /v1/jobs/{id}/results?from=0` returns the known results of a job, also while it runs.
- An ended job can be read for its `result_ttl`; after that calls answer `job-gone`, or `unknown-job`.
- `GET /v1/models` lists the models, each with a JSON Schema of its requests.
- `webhook` in a job, or an endpoint (`POST /v1/webhooks`), gets a signed event when a job has ended.
- `GET /v1/usage` returns what the caller's jobs used, by model and hour.
- A server with keys needs one in each request: `Authorization: Bearer bl_...` or `X-API-Key: bl_...`.
- Every error is `application/problem+json` (RFC 9457) with a stable `type`.
- Requests may be compressed (`Content-Encoding: gzip`). Large answers are, if the client accepts it.
"""

DESCRIPTIONS: dict[str, dict[str, str]] = {
    "JobRequest": {
        "inputs": "One input or a list of inputs, of the kind in the model's `input` (`GET /v1/models`).",
        "model": "The model's name or one of its aliases. Default: the first model of `GET /v1/models`.",
        "parameters": "Parameters of the model's task. Omitted ones have the model's default or the task's.",
        "priority": "Jobs of a higher priority run first. It is a head start, so no job waits for ever.",
        "expires_in": "Seconds until the job must start, or it ends as `expired`. Default: no limit.",
        "result_ttl": "Seconds for which the ended job can be read. Default: the server's, often an hour. "
        "The limit is in a model's `request` (`GET /v1/models`). A short lifetime saves the server's memory.",
        "keep_inputs": "Whether the job's page shows the inputs after the job's end, as long as its results. "
        "Otherwise they are deleted when it ends.",
        "stream": "Whether the job's events have its texts as they grow. Models that cannot ignore it.",
        "webhook": "Where a signed event is sent when the job has ended (Standard Webhooks).",
    },
    "Webhook": {
        "url": "An `https` address that receives the event as a POST.",
        "events": "The endings that are sent. Default: all.",
    },
    "Job": {
        "id": "A UUID, used to read, follow and cancel the job.",
        "model": "The name of the model that runs the job, even if the request has an alias.",
        "status": "`queued` and `running` may change; the other states are final.",
        "created_at": "When the job was accepted, in UTC (RFC 3339).",
        "started_at": "When its first batch started.",
        "finished_at": "When it ended.",
        "attempts": "How often it was started. More than once if a worker was lost.",
        "position": "Position among the waiting jobs of its model, from 1; null if it does not wait.",
        "results": "One for each input, in the order of the inputs; null in a listing and while not known.",
        "counts": "Numbers of its inputs, by result.",
        "timings": "Durations in milliseconds; null while not known.",
        "batch": "Its micro-batches; null if it is not done or ran in none.",
        "first_error": "The error of its first failed input, with a shortened detail; null if none failed.",
        "worker": "The id of the worker that ended it; null if it is not done, or ended without a worker.",
        "owner": "Who submitted it; only for admins, and only if it has an owner.",
        "urls": "Paths of the job (`self`), its `result`, its `events` and its HTML `page`.",
    },
    "Counts": {
        "total": "All inputs of the job.",
        "succeeded": "Inputs with an output; if the job is running, so far.",
        "failed": "Inputs with an error.",
        "tokens": "Tokens of the job's inputs as the model reads them: after truncation, and in zero-shot "
        "classification once for each label. Null until the job is done, and if tokens are not counted.",
    },
    "Timings": {
        "queued_ms": "From acceptance to start.",
        "compute_ms": "Computing time of the job's batches.",
        "total_ms": "From acceptance to end.",
    },
    "BatchSummary": {
        "size": "Inputs in the batch; the mean if the job's inputs ran in several batches.",
        "padding": "Share of padding among the batch's tokens, 0 to 1; null if tokens are not counted.",
    },
    "JobPage": {
        "jobs": "Jobs without their results, newest first.",
        "next": "The `cursor` of the next page; null on the last page.",
    },
    "Results": {"results": "One for each input, in the order of the inputs."},
    "KnownResults": {
        "status": "The job's state when it was read.",
        "counts": "Numbers of its inputs at that time, by result.",
        "next": "The `from` of the next request.",
        "results": "The results after the first `from`, in the order in which they became known.",
    },
    "IndexedResult": {
        "index": "Index of the input, from 0.",
        "output": "What the pipeline returned for the input.",
        "error": "Why there is no output.",
    },
    "Result": {
        "output": "What the pipeline returned for the input.",
        "error": "Why there is no output.",
    },
    "ResultError": {
        "type": "A stable identifier: `urn:batchline:problem:` and the kind, such as `input-failed`.",
        "title": "The kind in words.",
        "detail": "What happened to this input.",
    },
    "Problem": {
        "type": "A stable identifier: `urn:batchline:problem:` and the kind, such as `queue-full`.",
        "title": "The kind in words.",
        "status": "The HTTP status of the answer.",
        "detail": "What is wrong with this request.",
        "message": "The same as `detail`, for clients that show only this field.",
        "instance": "The requested path, if it belongs to a job.",
        "pointer": "JSON pointer to the invalid part of the body.",
        "parameter": "The name of the invalid query parameter.",
        "max_bytes": "The maximum size of a request, if this one is too large.",
        "policy": "The name of the limit that refused the request, as in `RateLimit-Policy`.",
    },
    "Health": {
        "status": "`live`; or `ready`, `degraded` (jobs run, but an operator should check) or `not ready`.",
        "checks": "For each dependency of jobs (Redis and each model), by name.",
    },
    "HealthCheck": {
        "ok": "`false` if jobs cannot be run because of this dependency.",
        "level": "`good`, `degraded` or `bad`.",
        "reason": "What is wrong; omitted if the level is `good`.",
    },
    "ModelList": {
        "object": "Always `list`.",
        "data": "The models in the form that OpenAI's clients expect.",
        "models": "The models in full, the default one first.",
    },
    "ModelObject": {
        "id": "The model's name.",
        "object": "Always `model`.",
        "created": "When the models file was last changed, in Unix seconds.",
        "owned_by": "Always `batchline`.",
    },
    "Model": {
        "name": "The value of a request's `model`.",
        "aliases": "Other accepted values of a request's `model`.",
        "description": "From the models file.",
        "task": "The task, such as `text-classification`; `custom` for the operator's own pipeline class.",
        "default": "Whether it is used if a request names no model.",
        "input": "The kind of its inputs, such as `text` or `json`.",
        "parameters": "JSON Schema of a request's `parameters`.",
        "defaults": "Values of omitted parameters.",
        "request": "JSON Schema of a whole request to this model, in addition to `JobRequest`.",
        "limits": "Limits of one job.",
        "dialects": "The interfaces that serve it; `/openapi/NAME.json` describes each.",
        "ready": "Whether a worker can run its jobs now.",
        "queue": "Numbers of its unfinished jobs, of all owners; null unless the caller is an admin.",
        "workers": "The live workers that serve it; empty unless the caller is an admin.",
        "failures": "Why inputs failed recently, the newest reason first; empty unless for an admin.",
    },
    "ModelLimits": {
        "max_inputs": "Inputs in one job.",
        "max_input_chars": "Characters of an input's texts, or bytes of its JSON.",
        "max_input_bytes": "Bytes of one image, sound or video; absent for a model without media.",
        "max_pixels": "Pixels of one image, or of one frame of a video; absent as above.",
        "max_seconds": "Seconds of one sound or video; absent as above.",
    },
    "ModelDialect": {
        "name": "The interface, such as `batchline`, `rerank` or `tei`.",
        "calls": "Its calls for the model, such as `POST /v1/jobs`.",
    },
    "ModelQueue": {
        "waiting": "Jobs that no worker has claimed.",
        "running": "Jobs that a worker has claimed.",
    },
    "ModelWorker": {
        "id": "The worker's name, from its host and process.",
        "state": "The state of its engine, such as `ready` or `busy`.",
        "device": "The torch device that it computes on.",
        "dtype": "The number type that it computes in.",
        "backend": "The library that computes the model, `torch` or `onnxruntime`; empty if it is not known.",
        "items_per_second": "Inputs run per second of computing, a moving average.",
    },
    "ModelFailure": {
        "type": "As in a result's error.",
        "title": "As in a result's error.",
        "detail": "As in a result's error, shortened.",
        "inputs": "Inputs that failed recently for this reason.",
        "job": "The newest job with such an input.",
        "at": "When that job ended.",
    },
    "UsageReport": {
        "from": "The first full hour of the usage.",
        "to": "The end of its last hour.",
        "by": "The time that one row covers, as requested.",
        "usage": "The rows.",
    },
    "UsageRow": {
        "owner": "The owner of the jobs.",
        "model": "The model that they were for.",
        "from": "The first hour of the row.",
        "to": "The end of the row, at most that of the report.",
        "jobs": "Numbers of jobs that ended in this time.",
        "inputs": "Inputs with an output or an error.",
        "failed_inputs": "Inputs with an error.",
        "tokens": "Tokens that the model computed for them; 0 if tokens are not counted.",
        "compute_seconds": "Computing time of the engines. The time of a batch with several jobs is divided "
        "among them by the lengths of their inputs.",
    },
    "UsageJobs": {
        "succeeded": "With at least one output.",
        "failed": "With an error for each input.",
        "cancelled": "Cancelled by a client.",
        "expired": "Not started within their `expires_in`.",
    },
}

USAGE_EXAMPLE = {
    "from": "2026-11-28T10:00:00Z",
    "to": "2026-11-29T10:00:00Z",
    "by": "total",
    "usage": [
        {
            "owner": "reporting",
            "model": "sentiment",
            "from": "2026-11-28T10:00:00Z",
            "to": "2026-11-29T10:00:00Z",
            "jobs": {"succeeded": 412, "failed": 1, "cancelled": 2, "expired": 0},
            "inputs": 9_610,
            "failed_inputs": 3,
            "tokens": 211_305,
            "compute_seconds": 38.114211,
        }
    ],
}

"""Descriptions of each field of bodies and answers. `api/v1/openapi.py` adds them to the description.

A test fails if a field of a schema there has no description here.
"""

MEANINGS: dict[str, dict[str, str]] = {
    "JobRequest": {
        "inputs": "One input or a list of them; `GET /v1/models` says of which kind as the model's `input`.",
        "model": "The model's name or one of its aliases; by default the first of `GET /v1/models`.",
        "parameters": "What the model's task allows; what is left out has the model's default or the task's.",
        "priority": "Jobs of a higher one go first, but none waits for ever: it is a head start in time.",
        "expires_in": "Seconds within which it must start, or it ends as `expired`; by default it waits.",
    },
    "Job": {
        "id": "A UUID; a job is read, followed and cancelled by it.",
        "model": "The name of the model that runs it, also where an alias was asked for.",
        "status": "`queued` and `running` may change; the others are final.",
        "created_at": "When it was accepted, as RFC 3339 has it, in UTC.",
        "started_at": "When its first batch began.",
        "finished_at": "When it ended.",
        "attempts": "Times that it was started; more than once after a worker was lost.",
        "position": "Place among the waiting jobs of its model, from 1; null once it does not wait.",
        "results": "One for each input, in their order; null while there are none, and in a listing.",
        "counts": "How its inputs fared.",
        "timings": "How long it took.",
        "batch": "The micro-batches that it went in; null where it went in none, or is not done.",
        "first_error": "The error of its first failed input, with a shortened detail; null if none failed.",
        "worker": "The id of the worker that ended it; null if it is not done, or ended without a worker.",
        "urls": "Paths of the job (`self`), its `result`, its `events` and its `page` for people.",
    },
    "Counts": {
        "total": "Inputs.",
        "succeeded": "Inputs with an output; of a running job, by now.",
        "failed": "Inputs with an error.",
        "tokens": "Tokens of the job's own inputs as the model reads them: truncated, and in zero-shot "
        "classification once for each label. Null until it is done, and where they are not counted.",
    },
    "Timings": {
        "queued_ms": "From its acceptance to its start.",
        "compute_ms": "What the model took for its batches.",
        "total_ms": "From its acceptance to its end.",
    },
    "BatchSummary": {
        "size": "Inputs in a batch; the mean, where the job's inputs went in several.",
        "padding": "Share of the tokens run that only filled up shorter inputs, 0 to 1; null if not counted.",
    },
    "JobPage": {
        "jobs": "The newest first, without their results.",
        "next": "The `cursor` of the next page; null on the last.",
    },
    "Results": {"results": "One for each input, in their order."},
    "KnownResults": {
        "status": "Of the job, when it was read.",
        "counts": "How its inputs fared by then.",
        "next": "The `from` of the next request: outcomes read with this one.",
        "results": "In the order in which they became known, after the first `from`.",
    },
    "IndexedResult": {
        "index": "Of the input, from 0.",
        "output": "What the pipeline returns for the input.",
        "error": "Why there is no output.",
    },
    "Result": {
        "output": "What the pipeline returns for the input.",
        "error": "Why there is no output.",
    },
    "ResultError": {
        "type": "A stable name: `urn:batchline:problem:` and the kind, such as `input-failed`.",
        "title": "The kind in words.",
        "detail": "What happened to this input.",
    },
    "Problem": {
        "type": "A stable name: `urn:batchline:problem:` and the kind, such as `queue-full`.",
        "title": "The kind in words.",
        "status": "The answer's HTTP status.",
        "detail": "What is wrong with this request.",
        "message": "The same as `detail`, for clients that show only this name.",
        "instance": "The path that was asked for, where that is a job's.",
        "pointer": "JSON pointer of the offending part of the body.",
        "parameter": "The name of the offending query parameter.",
        "max_bytes": "The bytes that a request may have, where it has more.",
    },
    "Health": {
        "status": "`live`; or `ready`, `degraded` (jobs are run, but look at `checks`) or `not ready`.",
        "checks": "For each thing that jobs need, by its name.",
    },
    "HealthCheck": {
        "ok": "Whether it lets jobs be run.",
        "level": "`good`, `degraded` or `bad`.",
        "reason": "What is wrong; left out when the level is `good`.",
    },
    "ModelList": {
        "object": "Always `list`.",
        "data": "The models as OpenAI's clients expect them.",
        "models": "The models in full, the default one first.",
    },
    "ModelObject": {
        "id": "The model's name.",
        "object": "Always `model`.",
        "created": "When the models file was last changed, in Unix seconds.",
        "owned_by": "Always `batchline`.",
    },
    "Model": {
        "name": "The name that a request gives as `model`.",
        "aliases": "Other names that a request may give.",
        "description": "From the models file.",
        "task": "What it does, such as `text-classification`; `custom` for a pipeline class of the operator.",
        "default": "Whether it is used when a request names no model.",
        "input": "The kind of its inputs, such as `text` or `json`.",
        "parameters": "JSON Schema of a request's `parameters`.",
        "defaults": "Parameters of a job that does not give them.",
        "request": "JSON Schema of a whole request to this model, in addition to `JobRequest`.",
        "limits": "What one job may contain.",
        "queue": "Its unfinished jobs.",
        "workers": "The live workers that serve it.",
        "failures": "Why inputs failed lately, the newest reason first.",
    },
    "ModelLimits": {
        "max_inputs": "Inputs in one job.",
        "max_input_chars": "Characters of one text, or bytes of one JSON input.",
    },
    "ModelQueue": {
        "waiting": "Jobs that no worker has taken.",
        "running": "Jobs that a worker has.",
    },
    "ModelWorker": {
        "id": "The worker's name, from its host and process.",
        "state": "What its engine does, such as `ready` or `busy`.",
        "device": "The torch device that it computes on.",
        "dtype": "The number type that it computes in.",
        "items_per_second": "Inputs that it ran in a second, lately.",
    },
    "ModelFailure": {
        "type": "As in a result's error.",
        "title": "As in a result's error.",
        "detail": "As in a result's error, shortened.",
        "inputs": "Inputs that failed for this reason lately.",
        "job": "The newest job with such an input.",
        "at": "When that job ended.",
    },
}

"""The HTTP status of each kind of problem, defined only here. The kinds are in `jobs/problem_kinds.py`."""

STATUSES = {
    "invalid-request": 422,
    "idempotency-mismatch": 422,
    "request-timeout": 408,
    "payload-too-large": 413,
    "unsupported-media-type": 415,
    "cross-site": 403,
    "unknown-host": 421,
    "unknown-model": 404,
    "unknown-job": 404,
    "job-gone": 410,
    "job-cancelled": 409,
    "job-expired": 410,
    "job-failed": 500,
    "queue-full": 503,
    "server-busy": 503,
    "redis-unavailable": 503,
    "not-found": 404,
    "method-not-allowed": 405,
    "bad-request": 400,
    "internal-error": 500,
}

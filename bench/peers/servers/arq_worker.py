"""arq's worker, as its command line starts it."""

from arq import run_worker

from bench.peers.servers.arq_tasks import WorkerSettings

if __name__ == "__main__":
    run_worker(WorkerSettings)  # type: ignore[arg-type]

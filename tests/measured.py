"""Findings of first starts, seconds of all cores each, written beforehand for tests of other things."""

import os
from pathlib import Path

from jobs.catalog import load_catalog
from worker.engine import findings, threads
from worker.engine.findings import Findings, FindingsStore
from worker.engine.protocol import Cost

COST = Cost(1_024, 5.0, 0.05)


def note(models_file: Path) -> None:
    """Writes findings for all tasks in the file, in the cache of this run; its models must be there."""
    catalog = load_catalog(models_file)
    store = FindingsStore(findings.folder(None))
    for spec in catalog.specs.values():
        if spec.pipeline is None:
            count = spec.threads or int(os.environ.get("OMP_NUM_THREADS") or threads.cores())
            measured = spec.model_copy(update={"backend": "torch"})
            key = findings.measurement_key(measured, catalog.local_source(spec), count)
            store.save(Findings(key, COST, spec.dtype, ""))

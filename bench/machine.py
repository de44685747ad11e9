"""Describes the machine and the package versions of a measurement."""

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

import psutil

from tests.valkey import BINARY

PACKAGES = ("torch", "transformers", "tokenizers", "uvicorn", "fastapi", "uvloop", "redis")


def describe() -> dict[str, str]:
    server = subprocess.run([BINARY, "--version"], capture_output=True, text=True, check=True).stdout
    return {
        "cpu": _cpu(),
        "cores": str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()),
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "system": platform.platform(),
        "python": platform.python_version(),
        "valkey": server.partition("v=")[2].split()[0],
        "load before": f"{os.getloadavg()[0]:.2f}",
        **{name: version(name) for name in PACKAGES},
    }


def _cpu() -> str:
    file = Path("/proc/cpuinfo")
    lines = file.read_text().splitlines() if file.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()

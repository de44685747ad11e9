"""`python -m tests.api.limited N NAME=SECONDS ..`: as `tests.faults.hurried`, with N open files at most."""

import resource
import runpy
import sys

if __name__ == "__main__":
    files = int(sys.argv.pop(1))
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    runpy.run_module("tests.faults.hurried", run_name="__main__", alter_sys=True)

"""Runs the models: claims jobs, and passes their inputs to engines. The package `jobs` defines jobs."""

from jobs.process.quick_imports import import_without_rich

import_without_rich("structlog")  # before any other module imports it

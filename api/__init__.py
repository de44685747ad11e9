"""The HTTP interface: routes, problems, pages. The package `jobs` defines and stores jobs."""

from jobs.process.quick_imports import import_without_rich

import_without_rich("structlog", "httpx")  # before any other module imports them

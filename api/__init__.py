"""The HTTP interface: routes, problems, pages. The package `jobs` defines and stores jobs."""

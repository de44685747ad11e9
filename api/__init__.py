"""The HTTP edge: routes, problems, pages. What a job is and how it is kept is in `jobs`."""

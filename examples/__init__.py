"""Examples of custom pipelines."""

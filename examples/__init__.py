"""Pipelines of one's own, to copy from."""

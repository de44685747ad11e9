"""Compares Batchline with other servers of the same model in one run: `make bench-peers`."""

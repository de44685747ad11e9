"""Batchline beside other servers of the same model, in one run: `make bench-peers`."""

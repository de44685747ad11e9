"""Benchmarks: every figure in the documentation comes from these or from the tests' reports."""

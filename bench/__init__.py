"""Benchmarks: every figure in the documentation comes from here, or from the tests' own reports."""

"""Batches: files of requests that run as jobs of their owner, with OpenAI's states. Records in Redis.

`batches.py` is the client's side, `runs.py` the runner's. Each transition is one script.
"""

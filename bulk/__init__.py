"""Files and batches: files of many requests in, files of their answers out.

No torch, and no models: a batch becomes jobs of the queue.
"""

"""Foreign interfaces to the same jobs, each in a folder of its own. None imports another.

`synchronous.py` has what all their calls share: a request is a job, and its answer has the job's outputs.
"""

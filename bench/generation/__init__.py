"""Text generation: served by Batchline, offline, and served by `transformers serve`, in one run.

workload   prompts, limits of new tokens, and which strategies are measured
models     the measured model, with random weights
offline    plain transformers: one by one, static batches, its own continuous batching
served     Batchline through HTTP and the queue
serve      `transformers serve`, in an environment of its own
http       a small HTTP client that reads Server-Sent Events
dialects   how each server is asked for a stream, and what its events mean
streams    the load generator for streams: closed loop or Poisson arrivals
timing     rates and times of streams
rounds, summary, table   one round; medians over rounds; text for a terminal
"""

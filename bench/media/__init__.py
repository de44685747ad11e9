"""Images and sounds: the served model beside the offline pipeline, LitServe and plain FastAPI, in one run.

samples   photos and recordings, the same in every run
models    an image classifier and a speech recognizer
offline   plain transformers at its best batch size
served    Batchline through HTTP and the queue
peers     LitServe and plain FastAPI with the same model; `servers` has their programs
"""

"""A small model for each of thirteen tasks: texts, images, sounds, and images with texts.

    .venv/bin/python -m examples.tasks.make_models
    BATCHLINE_MODELS_FILE=examples/tasks/models.toml make run

docs/tasks.md, "Try them all", has a curl line for each. Only `sentiment` and `digits` are trained. The others
have random weights: they answer in the right form, and what they say means nothing.
"""

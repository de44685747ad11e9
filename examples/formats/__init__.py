"""One small network from files of six formats: `models.toml` names the classes, `make_files` makes them.

    .venv/bin/python -m examples.formats.make_files
    BATCHLINE_MODELS_FILE=examples/formats/models.toml make run

`iris` has what all of them share: the names of the flowers and the check of an input.
"""

"""The `batchline` command: starts the programs of the other packages, and imports only the one asked for.

`__main__` has the list of commands; `check_models` is the one command that is no program of its own.
"""

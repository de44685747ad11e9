"""The `batchline` command: starts the programs of the other packages and imports only the requested one.

`__main__` lists the commands; `check_models`, `keys` and `batch` are the commands implemented here.
"""

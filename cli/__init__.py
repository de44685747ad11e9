"""The `batchline` command: starts the programs of the other packages and imports only the requested one.

`__main__` lists the commands; `check_models` is the only command implemented here.
"""

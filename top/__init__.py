"""A live table of a running server for a terminal: `python -m top`. Uses only HTTP, never Redis."""

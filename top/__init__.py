"""A live table of a running server, for people on ssh: `python -m top`. It asks over HTTP, never Redis."""

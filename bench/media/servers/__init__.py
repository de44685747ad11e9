"""The peers' programs: the same classifier behind LitServe and plain FastAPI."""

"""Scripts that make the models under `models/`; the server imports nothing from here."""

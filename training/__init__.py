"""Scripts that create the models under `models/`; the server imports nothing from here."""

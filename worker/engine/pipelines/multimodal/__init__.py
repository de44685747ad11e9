"""Tasks on a medium together with a text."""

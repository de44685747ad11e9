"""Small media for the examples of tasks, as data URLs."""

LANDSCAPE = (
    "data:image/png;base64,"
    "iVBORw0KGgoAAAANSUhEUgAAABAAAAAQAgMAAABinRfyAAAACVBMVEX63FpajMg8eDzZrlYIAAAAMklEQVR42mMMZWBgYGJgYGBgYWD4"
    "fZSJgeHDByYGmBgTA4OAABMDA6sDQowlFEkWgwAAIrAE01I1mdsAAAAASUVORK5CYII="
)
"""16 x 16 pixels."""

TONE = (
    "data:audio/wav;base64,"
    "UklGRrQBAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YZABAACAnrnN2NjOu6GCZUk1KScwQ117mbTK19nRv6aIak44"
    "KicuP1h1k7DH1dnTw6uOcFM7LCYsO1NwjqvD09nVx7CTdVg/LicqOE5qiKa/0dnXyrSZe11DMCcpNUllgqG7ztjYzbmegGJHMygo"
    "MkVffpu3y9fZ0L2jhWdMNiknL0FaeJayyNbZ0sGoi21QOSsnLT1VcpCtxdTa1MWtkHJVPS0nKzlQbYuowdLZ1siylnhaQS8nKTZM"
    "Z4WjvdDZ18u3m35fRTIoKDNHYoCeuc3Y2M67oYJlSTUpJzBDXXuZtMrX2dG/pohqTjgqJy4/WHWTsMfV2dPDq45wUzssJiw7U3CO"
    "q8PT2dXHsJN1WD8uJyo4TmqIpr/R2dfKtJl7XUMwJyk1SWWCobvO2NjNuZ6AYkczKCgyRV9+m7fL19nQvaOFZ0w2KScvQVp4lrLI"
    "1tnSwaiLbVA5KyctPVVykK3F1NrUxa2QclU9LScrOVBti6jB0tnWyLKWeFpBLycpNkxnhaO90NnXy7ebfl9FMigoM0di"
)
"""A twentieth of a second at 440 Hz: 400 samples at 8 kHz."""

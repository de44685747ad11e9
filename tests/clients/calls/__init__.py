"""What the clients are asked to do: one module for each client. Only a ClientProcess imports them.

Each function takes and returns JSON.
"""

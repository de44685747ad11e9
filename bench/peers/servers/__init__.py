"""One small server for each peer, written as in its documentation. Each runs in that peer's environment.

Environment variables configure them: PEER_PORT; PEER_MODEL, a folder, or empty for the echo; PEER_SIZE, the
largest batch; PEER_WAIT, the most milliseconds to wait for a batch to fill.
"""

"""One small server for each peer, as its documentation would have it. Each runs in that peer's environment.

What they are told is in the environment: PEER_PORT; PEER_MODEL, a folder, or nothing for the echo; PEER_SIZE,
the largest batch; PEER_WAIT, milliseconds that a batch may be waited for.
"""

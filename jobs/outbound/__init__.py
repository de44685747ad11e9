"""Requests to addresses that a client gave: where they may go, so that none reaches the server's own network.

addresses   which addresses are allowed: public ones, and the operator's networks
transport   an httpx transport that looks a name up once, checks the address and connects to that one
heads       bounds what a server may send before its answer begins

httpx is imported only by `transport` and `heads`. For links to media (`api/links.py`), and for whatever
else calls out.
"""

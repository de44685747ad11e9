"""Everything in one terminal: embedded Valkey, one worker and the API, watched over until they are stopped.

Nothing of the queue or of HTTP lives here: the children are the programs that run apart in production.
"""

"""Runs everything in one terminal: embedded Valkey, one worker and the API, restarted when they die.

Contains no queue or HTTP code: the children are the same programs that run separately in production.
"""

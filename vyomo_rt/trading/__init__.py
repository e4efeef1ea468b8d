"""The desk: opens and closes trades, keeps every session's figures in memory.

Invariant: an event is in the journal before anyone hears of it, and nothing
here waits for a client.
"""

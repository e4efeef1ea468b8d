"""Live prices of an OpenAlgo server, which connects to many brokers.

Invariant: the API key stands in no message and not in the log.
"""

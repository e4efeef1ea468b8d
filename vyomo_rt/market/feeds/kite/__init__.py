"""Live prices of Zerodha's Kite Connect.

Invariant: neither the API key nor the access token stands in a message or in the log.
"""

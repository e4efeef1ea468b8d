"""Prices of NSE's own site, for personal use, and only where it answers: not in data centres.

Invariant: one request at a time, at most three in a second.
"""

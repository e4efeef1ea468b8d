"""The simulated source.

Invariant: its prices are a function of seed, symbol and moment.
"""

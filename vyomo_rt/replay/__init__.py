"""Plays recorded days.

Invariant: the market's clock does not pass a tick or a call before what it decided is stored, so
that the same record gives the same events at any speed.
"""

"""Puts the rooms together and runs them.

Invariant: only this room knows all others.
"""

"""Tells another program what happens, by posting numbered events to an address of its own.

Invariant: nothing waits for the receiver, and nothing is kept for it but a place in each
session's log: what it was not told is read from there once it takes it.
"""

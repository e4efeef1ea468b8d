"""Records of days: files of ticks and calls.

Invariant: a tick that was accepted is in the file, in its order, and nothing waits for the disk.
"""

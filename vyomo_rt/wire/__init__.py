"""The only place that knows JSON names.

What clients send becomes commands, what happened becomes frames: the JSON text
of a message, framed once for each transport. Invariant: nothing here knows who
receives.
"""

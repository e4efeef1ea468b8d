"""The only place that knows JSON names.

What clients send becomes commands and orders, what happened becomes frames: the JSON
text of a message, framed once for each transport. All that is sent and taken of a
subject stands in one file. Invariant: nothing here knows who receives, reads a clock
or waits.
"""

"""Where trades outlive the process: MongoDB, or the embedded server in its place.

Invariant: documents and driver errors never leave this room; what goes in and
comes out are the records and the errors of ``vyomo_rt.domain``.
"""

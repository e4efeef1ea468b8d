"""Where prices come from, and the last accepted price of every symbol.

Invariant: a price is held with the moment at which its source says it was true,
and that moment never goes back; a price that is no longer fresh is kept, marked
stale, and never replaced by one from another source.
"""

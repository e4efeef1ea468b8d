"""Where prices come from, and the last accepted price of every symbol.

Invariant: a price is held with the moment at which its source says it was true,
and of one source that moment never goes back. Of several sources one speaks for each symbol;
a price that is no longer fresh is kept, marked stale, until a fresh one takes its place.
"""

"""Many clients at once: what they get, how late, and whether a trade is missing."""

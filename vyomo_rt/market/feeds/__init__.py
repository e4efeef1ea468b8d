"""The sources of prices, each a `Feed`.

Invariant: a feed yields ticks under its own name and judges none of them; it knows neither the
board nor who keeps it running.
"""

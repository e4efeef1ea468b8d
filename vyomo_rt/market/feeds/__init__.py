"""The sources of prices, each a `Feed`.

Invariant: a feed yields ticks under its own name and judges none of them. It knows neither the
board nor its supervisor.
"""

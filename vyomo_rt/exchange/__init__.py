"""What the exchange prescribes, as dated data that ships with the package.

Invariant: pure, and below every room that trades or prices: what is read here depends on
its arguments and the data alone.
"""

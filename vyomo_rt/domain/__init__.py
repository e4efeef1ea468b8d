"""Sessions, trades, quotes, P&L and exit rules: pure functions, frozen records, and one count.

Invariant: nothing here performs I/O, reads a clock or holds money in a float.
Money is an int of paise (``*_paise``), a price an int of ₹0.0001 (``*_e4``), a
percentage an int of 0.01 % (``*_e2``) and a moment an int of epoch
milliseconds, UTC (``*_ms``).
"""

"""vyomo-rt: the real-time server behind a trading dashboard."""

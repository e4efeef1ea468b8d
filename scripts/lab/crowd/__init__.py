"""Clients that measure: what they count, swarms of them, in processes of their own."""

"""Prices of Yahoo Finance, for personal use, and maybe late.

Invariant: one request at a time and one in five seconds in all, however many clients and symbols.
"""

"""Moves bytes: WebSocket, SSE, REST, the console, health.

Invariant: no trading rule or stream rule is decided here.
"""

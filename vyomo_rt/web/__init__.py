"""Moves bytes: WebSocket, SSE, REST, the console, health.

Invariant: no rule of trading or of the streams is decided here.
"""

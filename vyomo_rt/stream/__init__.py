"""Who gets what, when: subscriptions, snapshots, resumption, beats, back-pressure.

Invariant: a message is encoded once and the same bytes are written to everybody;
nothing here waits for a client, and nothing grows with a slow one.
"""

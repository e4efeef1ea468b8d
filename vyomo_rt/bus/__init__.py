"""What nodes say to each other, over NATS.

Invariant: nothing depends on it for correctness. Whatever it carries may be lost, doubled, late or
out of order.
"""

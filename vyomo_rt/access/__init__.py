"""Who is there, and how often: keys, tokens, what stands for a token, and limits.

Invariant: what was signed is believed only as far as its key goes. No secret leaves this room, in
no error, log line or document: of each only a hash is kept. What is remembered of strangers is
bounded.
"""

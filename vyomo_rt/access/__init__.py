"""Who is there: keys, tokens, and what stands for a token where one cannot be sent.

Invariant: what was signed is believed only as far as its key goes. No secret leaves this room, in
no error, log line or document: of each only a hash is kept.
"""

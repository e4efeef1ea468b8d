"""Looks at a running server as a client does, and says what is wrong and what to set.

It only reads, and knows of a server what its clients know: nothing of the other rooms is
imported, so it works against any server, on any machine.
"""

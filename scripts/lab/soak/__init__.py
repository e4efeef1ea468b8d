"""Uses and disturbs a server at random, and checks its promises all along."""

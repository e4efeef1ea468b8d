"""A server used and disturbed at random, while what it promised is compared all along."""

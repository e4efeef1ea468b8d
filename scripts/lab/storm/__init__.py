"""What a storm of new connections does to those that are there."""

"""What is measured or disturbed: a server of our own or a running one, and its machine."""

"""A trained judge: load it, rate items, rate a file."""

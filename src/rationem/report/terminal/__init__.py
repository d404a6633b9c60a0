"""A run in the terminal: its numbers, and one example's whole life. Reads the ledger; writes nothing."""

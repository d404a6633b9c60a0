"""The data check: how a file was read, what is wrong with it, and what a fit will cost."""

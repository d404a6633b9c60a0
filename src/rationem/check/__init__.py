"""The data check: what was understood of a file, what is wrong with it, and what a fit will cost."""

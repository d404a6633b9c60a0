"""One module per published set: the keys of its rows, and how a row becomes named cells."""

"""One module per published set: the keys of its rows, and the conversion of a row into named cells."""

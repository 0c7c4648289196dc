"""Guards of the shape of the source: who imports whom, what importing costs, what files are called."""

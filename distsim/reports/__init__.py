"""A run as a page: what it was, what was seen, how it is run again."""

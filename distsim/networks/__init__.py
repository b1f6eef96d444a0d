"""Networks by name, from files, and as files."""

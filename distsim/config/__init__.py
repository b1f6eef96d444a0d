"""Every option of a run: its kind of value, its role, and where its value came from."""

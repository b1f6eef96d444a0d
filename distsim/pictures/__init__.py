"""Pictures of results: they know files, not runs."""

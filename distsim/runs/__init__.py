"""A run from its configuration to its files and summary. `simulation` holds the loop."""

"""What happened: events up to the run's end, their digest, and where they go."""

"""The ranks of a run: how they talk, agree, stop together, and never hang."""

"""The two machines: which tickets a window has, and where a window ends."""

"""How a window's events are found: the contract `engine`, and who fulfils it."""

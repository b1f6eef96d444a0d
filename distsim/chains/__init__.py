"""A network in motion, on CPU or GPU: the contract `chain`, and who fulfils it."""

"""Files, whatever happens meanwhile: whole or absent, journaled, read in blocks."""

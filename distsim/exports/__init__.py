"""Events in the formats of others: read in blocks, so that any file fits any memory."""

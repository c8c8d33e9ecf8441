"""What was seen, added up: exact sums in bounded memory, and the last events for a timeline."""

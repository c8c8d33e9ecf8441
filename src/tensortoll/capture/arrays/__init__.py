"""Arrays in numbers: where they lie, and what is told of two of them without keeping either."""

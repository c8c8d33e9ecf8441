"""While the user's code runs: what a rewritten expression, store or statement sees."""

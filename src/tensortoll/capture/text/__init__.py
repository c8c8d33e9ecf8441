"""The user's source, read: which texts are theirs, and what the names and calls in them say."""

"""Watch code run, and hand over what was seen as a `model.Recording`."""

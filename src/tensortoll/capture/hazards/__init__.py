"""Memory that a conversion shares, written while both sides are alive.

`sides` tells whether a side is still alive, `contents` whether memory changed, `writes` keeps the
aliases and looks at them after each line of the user's. Nothing is held but weak references.
"""

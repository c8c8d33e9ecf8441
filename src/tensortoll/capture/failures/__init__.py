"""Conversions that raise, and why: looked into when an error is noticed, never before.

An error is noticed where the user's code catches it, or where it ends the watched code. Its
traceback tells the line, and the frames on it what was to be converted. The causes are those of
`causes.CAUSES`; to add one, write a function that takes an `Attempt` and name it there.
"""

"""Before the user's code runs: the expressions that can convert are given a run-time side."""

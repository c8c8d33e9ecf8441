"""What watching and copying cost on this machine, measured."""

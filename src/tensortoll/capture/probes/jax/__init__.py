"""JAX: its makers, operators and reads are hooked; calls of compiled functions are rewritten."""

from tensortoll.capture.probes.jax.probe import JaxProbe as JaxProbe

"""TensorFlow: the Python functions through which all eager data enters and leaves it."""

from tensortoll.capture.probes.tensorflow.probe import TensorflowProbe as TensorflowProbe

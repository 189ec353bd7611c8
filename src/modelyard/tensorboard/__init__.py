"""TensorBoard over runs: their logs while they are written, and their metrics as event files."""

from modelyard.tensorboard.export import export_to_tensorboard
from modelyard.tensorboard.viewer import Tensorboard

__all__ = ["Tensorboard", "export_to_tensorboard"]

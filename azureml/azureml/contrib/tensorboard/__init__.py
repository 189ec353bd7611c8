"""azureml.contrib.tensorboard: the path of its first years."""

from azureml._not_yet import names_of
from modelyard.tensorboard import Tensorboard

__getattr__ = names_of(__name__)

"""azureml.contrib.tensorboard.export"""

from azureml._not_yet import names_of
from modelyard.tensorboard import export_to_tensorboard

__getattr__ = names_of(__name__)

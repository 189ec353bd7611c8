"""azureml.core.compute_target"""

from azureml._not_yet import names_of
from modelyard.compute import LocalTarget
from modelyard.errors import ComputeTargetException

__getattr__ = names_of(__name__)

"""azureml.core.compute.compute"""

from azureml._not_yet import names_of
from modelyard.compute import ComputeTarget

__getattr__ = names_of(__name__)

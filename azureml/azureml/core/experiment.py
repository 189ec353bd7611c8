"""azureml.core.experiment"""

from azureml._not_yet import names_of
from modelyard.experiment import Experiment, ViewType

__getattr__ = names_of(__name__)

"""azureml.core.conda_dependencies"""

from azureml._not_yet import names_of
from modelyard.conda_dependencies import CondaDependencies

__getattr__ = names_of(__name__)

"""azureml.core.conda_dependencies"""

from modelyard.conda_dependencies import CondaDependencies

from azureml._not_yet import names_of

__getattr__ = names_of(__name__)

"""azureml.core.resource_configuration"""

from azureml._not_yet import names_of
from modelyard.resource_configuration import ResourceConfiguration

__getattr__ = names_of(__name__)

"""azureml.core.container_registry"""

from azureml._not_yet import names_of
from modelyard.environment_sections import ContainerRegistry

__getattr__ = names_of(__name__)

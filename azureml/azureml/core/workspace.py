"""azureml.core.workspace"""

from azureml._not_yet import names_of
from modelyard.errors import WorkspaceException
from modelyard.workspace import Workspace

__getattr__ = names_of(__name__)

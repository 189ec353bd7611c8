"""azureml.core.webservice.aks"""

from azureml._not_yet import names_of
from modelyard.endpoints import AksWebservice
from modelyard.endpoints.deploy_config import AksServiceDeploymentConfiguration

__getattr__ = names_of(__name__)

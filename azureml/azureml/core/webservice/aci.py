"""azureml.core.webservice.aci"""

from azureml._not_yet import names_of
from modelyard.endpoints import AciWebservice
from modelyard.endpoints.deploy_config import AciServiceDeploymentConfiguration

__getattr__ = names_of(__name__)

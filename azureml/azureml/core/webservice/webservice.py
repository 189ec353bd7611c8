"""azureml.core.webservice.webservice"""

from azureml._not_yet import names_of
from modelyard.endpoints import Webservice
from modelyard.endpoints.deploy_config import WebserviceDeploymentConfiguration

__getattr__ = names_of(__name__)

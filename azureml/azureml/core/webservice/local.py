"""azureml.core.webservice.local"""

from azureml._not_yet import names_of
from modelyard.endpoints import LocalWebservice
from modelyard.endpoints.deploy_config import LocalWebserviceDeploymentConfiguration

__getattr__ = names_of(__name__)

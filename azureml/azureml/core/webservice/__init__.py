"""azureml.core.webservice"""

from azureml._not_yet import names_of
from modelyard.endpoints import AciWebservice, AksWebservice, LocalWebservice, Webservice
from modelyard.endpoints.deploy_config import (
    AciServiceDeploymentConfiguration,
    AksServiceDeploymentConfiguration,
    LocalWebserviceDeploymentConfiguration,
)

__getattr__ = names_of(__name__)

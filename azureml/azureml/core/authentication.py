"""azureml.core.authentication"""

from azureml._not_yet import names_of
from modelyard.identity import (
    AbstractAuthentication,
    ArmTokenAuthentication,
    AzureCliAuthentication,
    InteractiveLoginAuthentication,
    MsiAuthentication,
    ServicePrincipalAuthentication,
    TokenAuthentication,
)

__getattr__ = names_of(__name__)

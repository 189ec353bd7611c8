"""azureml.exceptions"""

from azureml._not_yet import names_of
from modelyard.errors import (
    ActivityFailedException,
    AuthenticationException,
    AzureMLException,
    ComputeTargetException,
    DiscoveryUrlNotFoundException,
    ExperimentExecutionException,
    ExperimentNotFoundException,
    ModelNotFoundException,
    ModelPathNotFoundException,
    ProjectSystemException,
    RunConfigurationException,
    RunEnvironmentException,
    ServiceException,
    SnapshotException,
    TrainingException,
    UserErrorException,
    WebserviceException,
    WorkspaceException,
)

__getattr__ = names_of(__name__)

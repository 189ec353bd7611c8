"""azureml.core.environment"""

from azureml._not_yet import names_of
from modelyard.conda_dependencies import CondaDependencies
from modelyard.environment_sections import (
    DatabricksSection,
    DockerImagePlatform,
    RSection,
    SparkPackage,
    SparkSection,
)
from modelyard.environments import (
    DEFAULT_CPU_IMAGE,
    DEFAULT_GPU_IMAGE,
    DockerSection,
    Environment,
    PythonSection,
)

__getattr__ = names_of(__name__)

"""azureml.core.runconfig"""

from azureml._not_yet import names_of
from modelyard.conda_dependencies import CondaDependencies
from modelyard.environment_sections import ContainerRegistry
from modelyard.runconfig import (
    DEFAULT_CPU_IMAGE,
    DEFAULT_GPU_IMAGE,
    AmlComputeConfiguration,
    DockerConfiguration,
    HdiConfiguration,
    HistoryConfiguration,
    MpiConfiguration,
    ParallelTaskConfiguration,
    PyTorchConfiguration,
    RunConfiguration,
    SparkConfiguration,
    TensorflowConfiguration,
)

__getattr__ = names_of(__name__)

"""azureml.core.model"""

from azureml._not_yet import names_of
from modelyard.endpoints.inference_config import InferenceConfig
from modelyard.models import Model

__getattr__ = names_of(__name__)

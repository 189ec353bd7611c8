"""azureml.mlflow"""

from azureml._not_yet import names_of
from modelyard.mlflow_runs import get_portal_url, register_model

__getattr__ = names_of(__name__)

"""azureml.contrib.services.aml_request"""

from azureml._not_yet import names_of
from modelyard.scoring.raw_http import AMLRequest, rawhttp

__getattr__ = names_of(__name__)

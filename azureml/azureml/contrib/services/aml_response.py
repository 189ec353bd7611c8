"""azureml.contrib.services.aml_response"""

from azureml._not_yet import names_of
from modelyard.scoring.raw_http import AMLResponse

__getattr__ = names_of(__name__)

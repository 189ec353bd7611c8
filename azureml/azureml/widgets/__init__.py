"""azureml.widgets"""

from azureml._not_yet import names_of
from modelyard.run_details import RunDetails

__getattr__ = names_of(__name__)

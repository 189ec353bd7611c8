"""azureml.widgets.run_details"""

from azureml._not_yet import names_of
from modelyard.widgets import RunDetails

__getattr__ = names_of(__name__)

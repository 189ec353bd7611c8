"""azureml.data.abstract_datastore"""

from azureml._not_yet import names_of
from modelyard.data.datastore import AbstractDatastore

__getattr__ = names_of(__name__)

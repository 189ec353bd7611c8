"""azureml.core.datastore"""

from azureml._not_yet import names_of
from modelyard.data.datastore import Datastore

__getattr__ = names_of(__name__)

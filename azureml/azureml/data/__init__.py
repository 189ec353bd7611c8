"""azureml.data"""

from azureml._not_yet import names_of
from modelyard.data.datastore import AbstractAzureStorageDatastore, AbstractDatastore, AzureBlobDatastore

__getattr__ = names_of(__name__)

"""azureml.data.azure_storage_datastore"""

from azureml._not_yet import names_of
from modelyard.data.datastore import AbstractAzureStorageDatastore, AzureBlobDatastore

__getattr__ = names_of(__name__)

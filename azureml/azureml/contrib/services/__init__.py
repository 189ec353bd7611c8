"""azureml.contrib.services: entry scripts that take the whole HTTP request."""

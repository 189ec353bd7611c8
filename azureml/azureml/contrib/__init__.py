"""azureml.contrib"""

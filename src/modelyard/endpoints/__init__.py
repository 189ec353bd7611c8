"""Web services: InferenceConfig says what runs, `Model.deploy` makes it run, a Webservice answers."""

from modelyard.endpoints.aci import AciWebservice
from modelyard.endpoints.aks import AksWebservice
from modelyard.endpoints.inference_config import InferenceConfig
from modelyard.endpoints.local import LocalWebservice
from modelyard.endpoints.webservice import Webservice

__all__ = ["AciWebservice", "AksWebservice", "InferenceConfig", "LocalWebservice", "Webservice"]

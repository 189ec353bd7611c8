"""azureml.core.script_run_config"""

from azureml._not_yet import names_of
from modelyard.script_run_config import ScriptRunConfig

__getattr__ = names_of(__name__)

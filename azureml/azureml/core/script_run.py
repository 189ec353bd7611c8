"""azureml.core.script_run"""

from azureml._not_yet import names_of
from modelyard.runs.run import ScriptRun

__getattr__ = names_of(__name__)

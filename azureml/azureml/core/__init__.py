"""azureml.core: the classes that every v1 script begins with."""

from azureml._not_yet import names_of
from modelyard.compute import ComputeTarget
from modelyard.environments import Environment
from modelyard.experiment import Experiment
from modelyard.models import Model
from modelyard.runconfig import RunConfiguration
from modelyard.runs.run import Run, ScriptRun
from modelyard.script_run_config import ScriptRunConfig
from modelyard.version import VERSION as _YARD_VERSION
from modelyard.workspace import Workspace

# The v1 interface this tree follows, and the version of modelyard that provides it.
VERSION = "1.61.0+modelyard." + _YARD_VERSION

_names = names_of(__name__)


def __getattr__(name):
    # Wanted only by those who deploy or bring data; a training script starts faster without.
    if name == "Webservice":
        from modelyard.endpoints import Webservice

        return Webservice
    if name == "Datastore":
        from modelyard.data.datastore import Datastore

        return Datastore
    return _names(name)

"""azureml.core.run"""

from azureml._not_yet import names_of
from modelyard.runs.offline import _OfflineRun
from modelyard.runs.run import Run


def get_run(experiment, run_id, rehydrate=True, clean_up=True):
    """The run with this id, as v1's function of the same name."""
    return Run(experiment, run_id)


__getattr__ = names_of(__name__)

"""SDK v1's import paths over modelyard: real names are re-exported, the rest of v1's public names is known but not there yet.

A module or name that v1 had never ends in an ImportError: it can be imported, so that a script which never uses it runs
unchanged, and using it raises NotImplementedError that names the nearest thing that works.
"""

import sys

if sys.version_info < (3, 7):  # noqa: UP036  # PYTHONPATH leads any Python here, and the next line is no syntax to 3.6
    raise ImportError(
        "azureml needs Python 3.7 or newer here, this is {}.{}. Name a newer one in the environment "
        "(conda: python=3.8).".format(*sys.version_info[:2])
    )

from azureml import _not_yet  # after the check

_not_yet.install()

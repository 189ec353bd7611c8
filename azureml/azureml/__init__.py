"""SDK v1's import paths over modelyard: real names are re-exported, the rest of v1's public names is known but not there yet.

A module or name that v1 had never ends in an ImportError: it can be imported, so that a script which never uses it runs
unchanged, and using it raises NotImplementedError that names the nearest thing that works.
"""

from azureml import _not_yet

_not_yet.install()

"""A live look at a run in a notebook."""

from modelyard.widgets.run_details import RunDetails

__all__ = ["RunDetails"]

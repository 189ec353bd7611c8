"""What a script calls to log, and how metrics are read back."""

from __future__ import annotations

from typing import Any, Dict, List, Optional

from modelyard import errors
from modelyard.runs import records
from modelyard.runs.scope import Scope
from modelyard.wire.metrics import MetricInfo, MetricsAnswer

_NONFINITE = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}


class MetricLog:
    """The log methods of v1's Run. `_journal_record` says where a record goes."""

    def _journal_record(self, record: bytes) -> None:
        raise NotImplementedError

    def _keep_image(self, name: str, path: Optional[str], plot: Any) -> str:
        raise NotImplementedError

    def log(self, name: str, value: Any, description: str = "", step: Optional[int] = None) -> None:
        """Log a number or string. Logged again under the same name it becomes a series.

        Returns when the value is safe on this machine's disk. Raises UserErrorException for other values and for
        whole numbers over 64 bits.
        """
        self._journal_record(records.scalar(name, value, description, step))

    def log_list(self, name: str, value: List[Any], description: str = "") -> None:
        """Log a list of numbers or strings as one metric."""
        self._journal_record(records.listing(name, value, description))

    def log_row(self, name: str, description: Optional[str] = None, **kwargs: Any) -> None:
        """Log one row of named columns; called again with the same name it adds a row."""
        self._journal_record(records.row(name, kwargs, description or ""))

    def log_table(self, name: str, value: Dict[str, Any], description: str = "") -> None:
        """Log a table: columns of equal length by name."""
        self._journal_record(records.table(name, value, description))

    def log_image(
        self, name: str, path: Optional[str] = None, plot: Any = None, description: str = ""
    ) -> None:
        """Log an image file, or what `plot.savefig` draws (matplotlib.pyplot or a Figure), as a file of the run."""
        if (path is None) == (plot is None):
            raise errors.UserErrorException(
                f"log_image({name!r}) takes either path= (an image file) or plot= (a matplotlib plot)."
            )
        self._journal_record(records.image(name, self._keep_image(name, path, plot), description))

    def log_confusion_matrix(self, name: str, value: Any, description: str = "") -> None:
        """Log a confusion matrix: v1's dictionary (schema_type, schema_version, data) or its JSON text."""
        self._journal_record(records.document("confusion_matrix", name, value, description))

    def log_accuracy_table(self, name: str, value: Any, description: str = "") -> None:
        """Log an accuracy table: v1's dictionary or its JSON text."""
        self._journal_record(records.document("accuracy_table", name, value, description))

    def log_residuals(self, name: str, value: Any, description: str = "") -> None:
        """Log residuals: v1's dictionary or its JSON text."""
        self._journal_record(records.document("residuals", name, value, description))

    def log_predictions(self, name: str, value: Any, description: str = "") -> None:
        """Log binned predictions: v1's dictionary or its JSON text."""
        self._journal_record(records.document("predictions", name, value, description))


def fetch(scope: Scope, run_id: str, name: Optional[str], recursive: bool) -> MetricsAnswer:
    query = {"name": name, "recursive": recursive or None}
    answer: MetricsAnswer = scope.client.request(
        "GET", scope.run_path(run_id, "metrics"), query=query, kind=MetricsAnswer
    )
    return answer


def as_dictionary(metrics: List[MetricInfo]) -> Dict[str, Any]:
    """v1's answer: a name leads to one scalar, or to the list of all where it was logged more than once."""
    return {
        info.name: _restored(info.value) if info.nonfinite else info.value
        for info in metrics
        if info.kind != "s"  # the machine's own series are not what the script logged
    }


def _restored(value: Any) -> Any:
    if isinstance(value, str):
        return _NONFINITE.get(value, value)
    if isinstance(value, list):
        return [_restored(one) for one in value]
    if isinstance(value, dict):
        return {key: _restored(one) for key, one in value.items()}
    return value

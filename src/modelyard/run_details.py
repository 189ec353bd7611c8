"""`RunDetails(run).show()`, in plain text: what a notebook cell shows of a run."""

from __future__ import annotations

from typing import Any


class RunDetails:
    """A look at one run: status, what it waits for or failed with, its last metrics, and its address."""

    def __init__(self, run_instance: Any) -> None:
        self._run = run_instance

    def get_widget_data(self, widget_settings: Any = None) -> Any:
        """v1's dictionary of what the widget shows, as far as a plain view has it."""
        details = self._run.get_details()
        return {
            "run_id": self._run.id,
            "status": details.get("status"),
            "run_metrics": self._run.get_metrics(),
        }

    def show(self, render_lib: Any = None, widget_settings: Any = None) -> None:
        """Print the run as it is now. It does not follow the run: `wait_for_completion(show_output=True)` does."""
        print(self)  # noqa: T201  # showing is what this is for

    def __str__(self) -> str:
        details = self._run.get_details()
        lines = ["Run {}: {}".format(self._run.id, details.get("status"))]
        error = details.get("error")
        if error:
            lines.append("  {}".format(error.get("message") or error.get("error", {}).get("message", error)))
        for name, value in sorted(self._run.get_metrics().items()):
            last = value[-1] if isinstance(value, list) and value else value
            lines.append(f"  {name} = {last}")
        lines.append("  " + self._run.get_portal_url())
        return "\n".join(lines)

"""`RunDetails(run).show()`: a live view of a run in a notebook, plain text where there is no front end."""

from __future__ import annotations

import itertools
import sys
import threading
import time
from typing import Any, Callable, Dict, Optional

from modelyard import errors
from modelyard.runs import details
from modelyard.widgets import page
from modelyard.widgets.look import Look, Looker
from modelyard.widgets.tabs import Tabs

_REFRESH_S = 2.0
_SHARE = (
    10  # looking takes at most this part of the time: a run with very many points is looked at less often
)
_numbers = itertools.count(1)


class RunDetails:
    """A look at one run: status, times, what it failed with, charts of its metrics, the ends of its logs, its child runs.

    In a notebook it follows the run until it ends, through restarts of the yard.
    """

    def __init__(self, run_instance: Any) -> None:
        if not hasattr(run_instance, "get_details"):
            raise errors.UserErrorException(
                f"RunDetails takes a run, not a {type(run_instance).__name__}. ws.get_run(id) finds one."
            )
        self._run = run_instance
        self._view: Optional[_View] = None

    def get_widget_data(self, widget_settings: Any = None) -> Dict[str, Any]:
        """What the view shows, as plain values."""
        look = Looker(self._run._scope, self._run.id).look()
        return {
            "status": look.info.status.value,
            "run_id": look.info.id,
            "workbench_run_details_uri": self._run.get_portal_url(),
            "run_properties": self._run.get_details(),
            "run_metrics": [
                *(
                    {"name": s.name, "run_id": look.info.id, "categories": [x for x, _ in s.points],
                     "series": [{"data": [y for _, y in s.points]}]}
                    for s in look.series
                ),
                *(
                    {"name": name, "run_id": look.info.id, "categories": [0], "series": [{"data": [value]}]}
                    for name, value in look.values.items()
                ),
            ],
            "run_logs": look.logs,
            "child_runs": [
                {"run_id": c.id, "name": c.display_name, "status": c.status.value, "tags": dict(c.tags)}
                for c in look.children
            ],
        }  # fmt: skip

    def show(self, render_lib: Any = None, widget_settings: Any = None) -> None:
        """Show the run. In a notebook the view is kept up to date while other cells run; elsewhere it is printed once, and
        `run.wait_for_completion(show_output=True)` follows the run. v1's arguments change nothing."""
        if self._view is not None:
            self._view.stop()
            self._view = None
        display = _front_end()
        if display is None or not hasattr(self._run, "_scope"):
            print(self)  # noqa: T201  # showing is what this is for
            return
        self._run.flush()
        looker = Looker(self._run._scope, self._run.id)
        self._view = _View(looker, self._run.get_portal_url(), display, Tabs.where_there_are_widgets())
        self._view.start()

    def __str__(self) -> str:
        shown = self._run.get_details()
        lines = ["Run {}: {}".format(self._run.id, shown.get("status"))]
        error = shown.get("error")
        if error:
            lines.append("  {}".format(error.get("message") or error.get("error", {}).get("message", error)))
        for name, value in sorted(self._run.get_metrics().items()):
            last = value[-1] if isinstance(value, list) and value else value
            lines.append(f"  {name} = {last}")
        lines.append("  " + self._run.get_portal_url())
        return "\n".join(lines)


class _View:
    """The parts of one view, each a display of its own, so that one that has not changed is not touched."""

    def __init__(
        self, looker: Looker, url: str, display: Callable[[str], Any], tabs: Optional[Tabs] = None
    ) -> None:
        self._tabs = (
            tabs  # keeps the tab that somebody chose; else the logs are written anew, the first tab in front
        )
        self._looker = looker
        self._url = url
        self._display = display
        self._number = next(_numbers)
        self._stopped = threading.Event()
        self._shown: Dict[str, str] = {}
        self._handles: Dict[str, Any] = {}

    def start(self) -> None:
        look = self._looker.look()
        self._render(look)
        if look.info.status not in details.FINAL:
            threading.Thread(target=self._follow, args=(look,), name="run-details", daemon=True).start()

    def stop(self) -> None:
        self._stopped.set()

    def _follow(self, look: Look) -> None:
        while not self._stopped.is_set():
            began = time.monotonic()
            try:
                self._looker.wait(look, _REFRESH_S)
                began = time.monotonic()
                look = self._looker.look()
            except errors.NotFound:
                self._render(look, "The run was deleted.")
                return
            except errors.AzureMLException as error:
                self._render(look, f"Not of now: {str(error).partition('. ')[0]}. Trying again.")
                self._stopped.wait(_REFRESH_S)
                continue
            self._render(look)
            if look.info.status in details.FINAL:
                return
            self._stopped.wait((time.monotonic() - began) * _SHARE)

    def _render(self, look: Look, note: str = "") -> None:
        parts = {"head": page.head(look, self._url, note), "charts": page.charts(look)}
        if self._tabs is not None:
            self._tabs.show(page.log_parts(look))
        else:
            parts["logs"] = page.logs(look, self._number)
        parts["children"] = page.children(look)
        for name, html in parts.items():
            if self._stopped.is_set() or self._shown.get(name) == html:
                continue
            self._shown[name] = html
            if name in self._handles:
                self._handles[name].update(html)
            else:
                self._handles[name] = self._display(html)


class _Handle:
    """One output of a cell, which may be written anew."""

    def __init__(self, kernel_display: Any, html_type: Any, html: str) -> None:
        self._html_type = html_type
        self._handle = kernel_display(html_type(html), display_id=True)

    def update(self, html: str) -> None:
        self._handle.update(self._html_type(html))


def _front_end() -> Optional[Callable[[str], Any]]:
    """What shows HTML in the cell that runs; None in a script or a terminal."""
    if "IPython" not in sys.modules:
        return None
    from IPython import get_ipython  # a notebook has it
    from IPython.display import HTML, display

    shell = get_ipython()
    if shell is None or not hasattr(shell, "kernel"):
        return None
    return lambda html: _Handle(display, HTML, html)

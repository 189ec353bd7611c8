"""The logs of a view as tabs of ipywidgets, where the notebook has them: the tab that somebody chose stays in front."""

from __future__ import annotations

import importlib.util
from typing import Any, Dict, List, Optional


class Tabs:
    """One tab a log, made as logs come, its text changed where it is."""

    def __init__(self, widgets: Any, display: Any) -> None:
        self._widgets = widgets
        self._display = display
        self._tab: Any = None
        self._pages: Dict[str, Any] = {}

    @classmethod
    def where_there_are_widgets(cls) -> Optional[Tabs]:
        """None without ipywidgets."""
        if importlib.util.find_spec("ipywidgets") is None:
            return None
        import ipywidgets  # type: ignore[import-not-found, import-untyped, unused-ignore]  # the user's own
        from IPython.display import display

        return cls(ipywidgets, display)

    def show(self, logs: Dict[str, str]) -> None:
        """`logs`: HTML by name, in the order of the tabs."""
        if not logs:
            return
        new = [name for name in logs if name not in self._pages]
        for name in new:
            self._pages[name] = self._widgets.HTML(logs[name])
        if new:
            self._arrange(list(self._pages))
        for name, html in logs.items():
            if self._pages[name].value != html:
                self._pages[name].value = html

    def _arrange(self, names: List[str]) -> None:
        is_first = self._tab is None
        if is_first:
            self._tab = self._widgets.Tab()
        self._tab.children = [self._pages[name] for name in names]
        for position, name in enumerate(names):
            self._tab.set_title(position, name)
        if is_first:
            self._display(self._tab)

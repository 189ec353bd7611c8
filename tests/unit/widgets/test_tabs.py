"""Logs as tabs of ipywidgets. The real ones are shown by a front end; here is what they are told."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from modelyard.widgets.tabs import Tabs


class FakeTab:
    def __init__(self) -> None:
        self.children: list[Any] = []
        self.titles: dict[int, str] = {}

    def set_title(self, position: int, title: str) -> None:
        self.titles[position] = title


def test_a_tab_stays_the_same_while_its_text_changes_and_others_come() -> None:
    shown: list[FakeTab] = []
    widgets = SimpleNamespace(Tab=FakeTab, HTML=lambda value: SimpleNamespace(value=value))
    tabs = Tabs(widgets, shown.append)
    tabs.show({})
    assert shown == []
    tabs.show({"user_logs/std_log.txt": "one"})
    (tab,) = shown
    first = tab.children[0]
    tabs.show({"user_logs/std_log.txt": "two", "azureml-logs/20_image_build_log.txt": "built"})
    assert len(shown) == 1
    assert tab.children[0] is first
    assert first.value == "two"
    assert tab.titles == {0: "user_logs/std_log.txt", 1: "azureml-logs/20_image_build_log.txt"}

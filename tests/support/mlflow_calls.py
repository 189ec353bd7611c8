"""Raw calls of MLflow's REST protocol, sent to two servers, and their answers made comparable."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass, field
from typing import Any

_NOW = ("creation_time", "last_update_time", "creation_timestamp_ms", "last_updated_timestamp_ms", "last_updated_timestamp",
        "creation_timestamp")  # fmt: skip
_NOT_OURS = ("workspace", "sqlstate", "error_class")  # what newer servers add and no client needs
_NAME = re.compile(r"[a-z]+-[a-z]+-\d+")


@dataclass
class Side:
    """One server. `ids` are what it called the things that both have: they go into requests and out of answers."""

    url: str
    token: str = ""
    ids: dict[str, str] = field(default_factory=dict)

    def send(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Status and JSON; `{name}` in the path or in a text of the body is the id of that name."""
        content = None if body is None else json.dumps(self._filled(body)).encode()
        headers = {"content-type": "application/json"}
        if self.token:
            headers["authorization"] = f"Bearer {self.token}"
        request = urllib.request.Request(
            self.url + self._filled(path), data=content, method=method, headers=headers
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                status, text = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                status, text = error.code, error.read()
        try:
            return status, json.loads(text)
        except ValueError:
            return status, text.decode()

    def _filled(self, value: Any) -> Any:
        if isinstance(value, str):
            for name, one in self.ids.items():
                value = value.replace("{" + name + "}", one)
            return value
        if isinstance(value, dict):
            return {k: self._filled(v) for k, v in value.items()}
        if isinstance(value, list):
            return [self._filled(v) for v in value]
        return value

    def comparable(self, value: Any, key: str = "") -> Any:
        """An answer without what must differ: ids, moments, made-up names; lists of named things in order of their names."""
        if isinstance(value, dict):
            return {k: self.comparable(v, k) for k, v in value.items() if k not in _NOT_OURS}
        if isinstance(value, list):
            items = [self.comparable(v) for v in value]
            named = items and all(isinstance(i, dict) and "key" in i for i in items)
            return sorted(items, key=lambda i: json.dumps(i, sort_keys=True)) if named else items
        if isinstance(value, str):
            return self._text(value, key)
        if key in _NOW:
            return "<now>"
        return "NaN" if value != value else value

    def _text(self, text: str, key: str) -> str:
        if key == "next_page_token":
            return "<token>"
        for name, one in sorted(self.ids.items(), key=lambda item: -len(item[1])):
            if len(one) > 8:
                text = text.replace(one, f"<{name}>")
            elif key == "experiment_id" and text == one:
                text = f"<{name}>"
            else:  # MLflow's own ids of experiments are short numbers
                text = re.sub(
                    rf"(artifacts:/|xperiment |with id |with id=){one}(?=/| |$)", rf"\1<{name}>", text
                )
        return _NAME.sub("<a name>", text)


def pick(answer: Any, path: str) -> str:
    for name in path.split("."):
        answer = answer[int(name) if name.isdigit() else name]
    return str(answer)

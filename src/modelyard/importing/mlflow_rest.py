"""A running MLflow server, asked over REST; of MLflow 1.30 as of 3.x."""

from __future__ import annotations

import base64
import http.client
import json
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any
from urllib.parse import quote, unquote, urlencode, urlsplit

from modelyard.importing.mlflow_records import (
    Broken,
    Experiment,
    File,
    History,
    Model,
    Run,
    SourceError,
    Version,
)

_PAGE = 1000
_HISTORY_PAGE = 25_000
_TIMEOUT_S = 120.0
_TRIES = 5
_FIRST_PAUSE_S = 0.5
_PIECE_BYTES = 1 << 20
_API = "/api/2.0/mlflow/"
_NONFINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


class RestSource:
    """`token`, or `user` and `password` of basic authentication, as MLflow's own variables give them."""

    def __init__(self, address: str, token: str = "", user: str = "", password: str = "") -> None:
        parts = urlsplit(address)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise SourceError(
                f"{address!r} is not the address of an MLflow server. It looks like http://mlflow:5000."
            )
        self._kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._place = (parts.hostname, parts.port)
        self._prefix = parts.path.rstrip("/")
        self._shown = f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")
        self._headers = {"Accept": "application/json"}
        user, password = user or unquote(parts.username or ""), password or unquote(parts.password or "")
        if token:
            self._headers["Authorization"] = f"Bearer {token}"
        elif user:
            words = base64.b64encode(f"{user}:{password}".encode()).decode()
            self._headers["Authorization"] = f"Basic {words}"
        self._connection: http.client.HTTPConnection | None = None

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def experiments(self) -> list[Experiment]:
        asked = {"max_results": _PAGE, "view_type": "ALL"}
        return [
            Experiment(
                e["experiment_id"], e["name"], _pairs(e.get("tags")), _whole(e.get("creation_time")),
                _whole(e.get("last_update_time") or e.get("creation_time")), e.get("lifecycle_stage") == "deleted",
            )
            for e in self._pages("POST", "experiments/search", "experiments", asked)
        ]  # fmt: skip

    def runs(self, experiment: Experiment, problem: Callable[[str, str], None]) -> Iterable[Run]:
        asked = {
            "experiment_ids": [experiment.id], "run_view_type": "ALL", "max_results": _PAGE,
            "order_by": ["attributes.start_time ASC"],
        }  # fmt: skip
        for run in self._pages("POST", "runs/search", "runs", asked):
            info, data = run["info"], run.get("data", {})
            end = info.get("end_time")
            yield Run(
                id=info.get("run_id") or info["run_uuid"],
                experiment_id=experiment.id,
                name=info.get("run_name", ""),
                user=info.get("user_id", ""),
                status=info.get("status", ""),
                start_ms=_whole(info.get("start_time")),
                end_ms=None if end is None else _whole(end),
                deleted=info.get("lifecycle_stage") == "deleted",
                tags=_pairs(data.get("tags")),
                params=_pairs(data.get("params")),
                artifacts=info.get("artifact_uri", ""),
                metric_names=[metric["key"] for metric in data.get("metrics", ())],
            )

    def metrics(self, run: Run) -> Iterator[History]:
        for key in run.metric_names:
            asked = {"run_id": run.id, "run_uuid": run.id, "metric_key": key, "max_results": _HISTORY_PAGE}
            points = list(self._pages("GET", "metrics/get-history", "metrics", asked))
            if points:
                yield History(
                    key,
                    [_whole(p.get("timestamp")) for p in points],
                    [_whole(p.get("step")) for p in points],
                    [_number(p["value"]) for p in points],
                )

    def artifacts(self, run: Run) -> Iterator[File]:
        return self._below(run.id, "")

    def models(self) -> Iterator[Model]:
        try:
            found = list(
                self._pages("GET", "registered-models/search", "registered_models", {"max_results": 100})
            )
        except Broken:  # a file store of 1.x has no registry
            return
        for model in found:
            name = model["name"]
            where = {"filter": "name = '{}'".format(name.replace("'", "\\'")), "max_results": _PAGE}
            versions = [
                self._version(v) for v in self._pages("GET", "model-versions/search", "model_versions", where)
            ]
            created = _whole(model.get("creation_timestamp"))
            yield Model(
                name=name,
                description=model.get("description", ""),
                created_ms=created,
                updated_ms=_whole(model.get("last_updated_timestamp")) or created,
                tags=_pairs(model.get("tags")),
                aliases=self._aliases(name),
                versions=sorted(versions, key=lambda v: v.version),
            )

    def version_files(self, version: Version) -> Iterator[File]:
        inside = version.files.partition(f"/{version.run_id}/artifacts/")[2] if version.run_id else ""
        if not inside and version.files.startswith(f"runs:/{version.run_id}/"):
            inside = version.files.removeprefix(f"runs:/{version.run_id}/")
        if not inside:
            raise Broken(
                f"its files lie at {version.files or 'no address'}, which its server does not give out"
            )
        return self._below(version.run_id, inside.strip("/"))

    def _aliases(self, name: str) -> dict[str, int]:
        found = self._ask("GET", "registered-models/get", {"name": name})["registered_model"]
        return {one["alias"]: _whole(one["version"]) for one in found.get("aliases", ())}

    def _version(self, given: Mapping[str, Any]) -> Version:
        created = _whole(given.get("creation_timestamp"))
        return Version(
            version=_whole(given["version"]),
            description=given.get("description", ""),
            user=given.get("user_id", ""),
            stage=given.get("current_stage") or "None",
            source=given.get("source", ""),
            run_id=given.get("run_id", ""),
            run_link=given.get("run_link", ""),
            created_ms=created,
            updated_ms=_whole(given.get("last_updated_timestamp")) or created,
            tags=_pairs(given.get("tags")),
            files=given.get("source", ""),
        )

    def _below(self, run_id: str, path: str, inside: str = "") -> Iterator[File]:
        """Files below a directory of a run's artifacts, named from there on."""
        asked = {"run_id": run_id, "run_uuid": run_id, **({"path": path} if path else {})}
        for one in self._pages("GET", "artifacts/list", "files", asked):
            name = f"{inside}/{one['path'].rpartition('/')[2]}".lstrip("/")
            if one.get("is_dir"):
                yield from self._below(run_id, one["path"], name)
            else:
                query = urlencode({"run_id": run_id, "run_uuid": run_id, "path": one["path"]})
                yield File(name, partial(self._download, f"/get-artifact?{query}"))

    def _pages(self, method: str, call: str, items: str, asked: dict[str, Any]) -> Iterator[Any]:
        token = ""
        while True:
            answer = self._ask(method, call, {**asked, **({"page_token": token} if token else {})})
            yield from answer.get(items, ())
            token = answer.get("next_page_token") or ""
            if not token:
                return

    def _ask(self, method: str, call: str, asked: dict[str, Any]) -> Any:
        path, body = f"{_API}{call}", None
        if method == "GET":
            path += f"?{urlencode(asked)}"
        else:
            body = json.dumps(asked).encode()
        response = self._send(method, path, body)
        content = response.read()
        try:
            return json.loads(content)
        except ValueError as error:
            raise Broken(f"{call} was answered with {content[:80]!r}, which is no JSON") from error

    def _download(self, path: str) -> Iterator[bytes]:
        response = self._send("GET", path, None)
        while piece := response.read(_PIECE_BYTES):
            yield piece

    def _send(self, method: str, path: str, body: bytes | None) -> http.client.HTTPResponse:
        """The answer of a call that went well; tried again while the server is away or busy."""
        for attempt in range(_TRIES):
            last = attempt == _TRIES - 1
            try:
                connection = self._connection or self._kind(*self._place, timeout=_TIMEOUT_S)
                self._connection = connection
                kind = {"Content-Type": "application/json"} if body is not None else {}
                connection.request(
                    method, quote(self._prefix, safe="/") + path, body, {**self._headers, **kind}
                )
                response = connection.getresponse()
            except (OSError, http.client.HTTPException) as error:
                self.close()
                if last:
                    raise SourceError(
                        f"The MLflow server at {self._shown} does not answer: {error}."
                    ) from error
            else:
                if response.status < 300:
                    return response
                said = response.read()[:300].decode("utf-8", "replace")
                if response.status in (401, 403):
                    raise SourceError(
                        f"The MLflow server at {self._shown} refuses this caller ({response.status}). Set MLFLOW_TRACKING_TOKEN, "
                        "or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD."
                    )
                if response.status < 500 and response.status != 429:
                    raise Broken(
                        f"{method} {path.partition('?')[0]} was answered with {response.status}: {said}"
                    )
                if last:
                    raise Broken(
                        f"{method} {path.partition('?')[0]} was answered with {response.status}: {said}"
                    )
            time.sleep(_FIRST_PAUSE_S * 2**attempt)
        raise AssertionError("the last attempt returns or raises")


def _pairs(given: Any) -> dict[str, str]:
    return {one["key"]: one.get("value", "") for one in given or ()}


def _whole(value: Any) -> int:
    return int(value or 0)


def _number(value: Any) -> float:
    return _NONFINITE[value] if isinstance(value, str) and value in _NONFINITE else float(value)

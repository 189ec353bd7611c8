from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest

from modelyard.scoring.config import ServedModel, ServiceConfig
from modelyard.scoring.faults import EntryError
from modelyard.scoring.http1 import Refused
from modelyard.scoring.no_code import entry_for


class Doubler:
    """Stands for a fitted model: no_code knows models by their methods."""

    def predict(self, rows: Any) -> Any:
        if rows == "bad":
            raise ValueError("Expected 2D array")
        return [sum(row) * 2 for row in rows]


class Chances(Doubler):
    def predict_proba(self, rows: Any) -> Any:
        return [[0.25, 0.75] for _ in rows]


def served(path: Path, framework: str = "ScikitLearn") -> Any:
    model = ServedModel("m", 1, str(path), framework)
    return entry_for(ServiceConfig(endpoint="e", python="", models=[model]))


def test_a_pickled_model_answers_by_method(tmp_path: Path) -> None:
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(Chances()))
    entry = served(tmp_path)
    entry.init()
    assert entry.run('{"data": [[1, 2]]}') == {"predict_proba": [[0.25, 0.75]]}
    assert entry.run('{"data": [[1, 2]], "method": "predict"}') == {"predict": [6]}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("[1]", "JSON object"),
        ("{", "not JSON"),
        ("{}", "lacks 'data'"),
        ('{"data": [[1]], "method": "__class__"}', "no method"),
        ('{"data": "bad"}', "Expected 2D array"),
    ],
)
def test_wrong_input_is_the_clients_fault(tmp_path: Path, body: str, words: str) -> None:
    file = tmp_path / "model.pkl"
    file.write_bytes(pickle.dumps(Doubler()))
    entry = served(file)
    entry.init()
    with pytest.raises(Refused, match=words) as refused:
        entry.run(body)
    assert refused.value.status == 400


def test_what_cannot_be_served_without_code_is_said(tmp_path: Path) -> None:
    with pytest.raises(EntryError, match="'Custom'"):
        served(tmp_path, "Custom")
    with pytest.raises(EntryError, match="one model"):
        entry_for(ServiceConfig(endpoint="e", python=""))
    with pytest.raises(EntryError, match="one file"):
        served(tmp_path).init()


def test_a_fitted_classifier_is_served_whole(service: Any) -> None:
    pytest.importorskip("sklearn", reason="uv pip install scikit-learn")
    import joblib
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression().fit([[0.0], [1.0], [2.0], [3.0]], [0, 0, 1, 1])
    (service.dir / "model").mkdir()
    joblib.dump(model, service.dir / "model" / "model.joblib")
    path = str(service.dir / "model")
    service.start(
        entry_script="", models=[{"name": "m", "version": 1, "path": path, "framework": "ScikitLearn"}]
    )
    service.wait()
    assert service.score({"data": [[0.0], [3.0]], "method": "predict"}) == {"predict": [0, 1]}
    status, _, body = service.request("POST", "/score", json.dumps({"data": [["x"]]}))
    assert status == 400, body

"""A model that MLflow wrote, scored by MLflow itself (`mlflow.pyfunc`) in the model's own environment.

The input is that of MLflow's scoring server: a JSON object with one of `dataframe_split`, `dataframe_records`, `instances`
and `inputs`, and `params` where the model takes some. The answer is `{"predictions": …}`.
"""

from __future__ import annotations

import base64
import importlib
import json
import os
from typing import Any, Callable, Dict, Optional

from modelyard.scoring.faults import EntryError
from modelyard.scoring.http1 import Refused

FORMATS = ("dataframe_split", "dataframe_records", "instances", "inputs")
_SAMPLE = "serving_input_example.json"
_MAX_SAMPLE_BYTES = 1 << 16
_JSON_TYPES = {
    "boolean": "boolean", "integer": "integer", "long": "integer", "float": "number", "double": "number",
}  # fmt: skip


def is_one(path: str) -> bool:
    return os.path.isfile(os.path.join(path, "MLmodel"))


def load(path: str) -> MlflowScorer:
    """The model as a function of a request's body. Raises EntryError where MLflow or a library of the model is not
    installed, and whatever loading it raises."""
    try:
        pyfunc = importlib.import_module("mlflow.pyfunc")
        model = pyfunc.load_model(path)
    except ImportError as error:
        raise EntryError(
            f"The model's environment lacks {error.name or error}, which loading it needs. Its requirements.txt or "
            "conda.yaml should name it; log the model again with pip_requirements=[…], or deploy it with an entry script."
        ) from error
    return MlflowScorer(model, _input_schema(model), _sample(path))


class MlflowScorer:
    """A loaded model as a function of a request's body."""

    def __init__(self, model: Any, schema: Any, sample: Any) -> None:
        self._model = model
        self._schema = schema
        self.inputs = described(schema, sample)

    def __call__(self, body: Dict[str, Any]) -> Any:
        data = parsed(body, self._schema)
        params = body.get("params")
        try:
            more = {} if params is None else {"params": params}
            result = self._model.predict(data, **more)
        except Exception as error:
            # What the model or its schema says of the input is for the caller; a fault of its own shows in the log.
            if _blames_input(error):
                raise Refused(400, f"The model does not take this data: {error}") from error
            raise
        return {"predictions": result}


def described(schema: Any, sample: Any) -> Dict[str, Any]:
    """The schema of a request's body, for the service's description."""
    words = "A JSON object with one of {}.".format(", ".join(FORMATS))
    columns = {}
    if _has_columns(schema) and schema.has_input_names():
        columns = {spec.name: {"type": _JSON_TYPES.get(_type_name(spec), "string")} for spec in schema.inputs}
    properties: Dict[str, Any] = {name: {} for name in FORMATS}
    if columns:
        required = [spec.name for spec in schema.inputs if getattr(spec, "required", True)]
        row = {"type": "object", "properties": columns, "required": required}
        properties["dataframe_records"] = {"type": "array", "items": row}
        names = {"type": "array", "items": {"type": "string"}, "example": list(columns)}
        split = {"columns": names, "data": {"type": "array", "items": {"type": "array", "items": {}}}}
        properties["dataframe_split"] = {"type": "object", "properties": split, "required": ["data"]}
    found: Dict[str, Any] = {"type": "object", "description": words, "properties": properties}
    return found if sample is None else dict(found, example=sample)


def parsed(body: Dict[str, Any], schema: Any = None) -> Any:
    """The model's input out of a body; with `schema`, the model's, as the types that it names. Raises Refused."""
    given = [name for name in FORMATS if name in body]
    unknown = sorted(body.keys() - set(FORMATS) - {"params"})
    if len(given) != 1 or unknown:
        raise Refused(
            400,
            "The body has to hold exactly one of {} (and 'params' where the model takes some), not {}.".format(
                ", ".join(map(repr, FORMATS)), ", ".join(map(repr, sorted(body))) or "nothing"
            ),
        )
    try:
        return _READERS[given[0]](body[given[0]], schema)
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        raise Refused(400, f"{given[0]!r} does not fit: {error}") from error


def _frame(rows: Any, schema: Any) -> Any:
    pandas = importlib.import_module("pandas")
    return _typed(pandas.DataFrame(rows), schema)


def _of_split(value: Any, schema: Any) -> Any:
    if not isinstance(value, dict) or "data" not in value or value.keys() - {"columns", "data", "index"}:
        raise ValueError("it is an object with 'columns' and 'data', and may have 'index'")
    pandas = importlib.import_module("pandas")
    return _typed(pandas.DataFrame(**value), schema)


def _of_records(value: Any, schema: Any) -> Any:
    if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
        raise ValueError("it is a list of objects, one a row")
    return _frame(value, schema)


def _of_instances(value: Any, schema: Any) -> Any:
    if not isinstance(value, list):
        raise ValueError("it is a list, one element a row")
    if value and isinstance(value[0], dict):
        if _has_columns(schema) or schema is None:
            return _frame(value, schema)
        names = value[0].keys()
        return _arrays({name: [row[name] for row in value] for name in names}, schema)
    return _of_inputs(value, schema)


def _of_inputs(value: Any, schema: Any) -> Any:
    if _has_columns(schema):
        names = schema.input_names() if schema.has_input_names() else None
        if isinstance(value, list) and names and not (value and isinstance(value[0], dict)):
            rows = value if value and isinstance(value[0], list) else [[each] for each in value]
            pandas = importlib.import_module("pandas")
            return _typed(pandas.DataFrame(rows, columns=names), schema)
        if isinstance(value, dict) and not any(isinstance(each, (list, dict)) for each in value.values()):
            value = {name: [each] for name, each in value.items()}
        return _frame(value, schema)
    return _arrays(value, schema)


def _arrays(value: Any, schema: Any) -> Any:
    """As numpy arrays, of the types of a schema of tensors."""
    numpy = importlib.import_module("numpy")
    types: Dict[Optional[str], Any] = {}
    if schema is not None:
        types = {spec.name: spec.type for spec in schema.inputs}
    if isinstance(value, dict):
        return {name: numpy.array(each, dtype=types.get(name)) for name, each in value.items()}
    return numpy.array(value, dtype=types.get(None))


def _typed(frame: Any, schema: Any) -> Any:
    """Columns as the schema says: JSON has one kind of number, and neither bytes nor dates."""
    if not _has_columns(schema) or not schema.has_input_names():
        return frame
    pandas = importlib.import_module("pandas")
    for spec in schema.inputs:
        if spec.name not in frame.columns:
            continue
        column, kind = frame[spec.name], _type_name(spec)
        if kind == "binary":
            column = column.map(lambda text: base64.b64decode(text) if isinstance(text, str) else text)
        elif kind == "datetime":
            column = pandas.to_datetime(column)
        elif kind in ("float", "double") or (kind in ("integer", "long") and _is_whole(column)):
            column = column.astype(spec.type.to_numpy())
        frame[spec.name] = column
    return frame


def _is_whole(column: Any) -> bool:
    """Whether nothing is lost as integers; otherwise MLflow says what is wrong."""
    return bool(column.notna().all()) and bool((column.astype("float64") % 1 == 0).all())


def _type_name(spec: Any) -> str:
    return str(getattr(spec.type, "name", ""))


def _sample(path: str) -> Any:
    """The request that the model was logged with; None where there is none, or a large one."""
    file = os.path.join(path, _SAMPLE)
    try:
        if os.path.getsize(file) > _MAX_SAMPLE_BYTES:
            return None
        with open(file, encoding="utf-8") as f:
            return json.load(f)
    except (OSError, ValueError):
        return None


def _input_schema(model: Any) -> Any:
    return getattr(model.metadata, "get_input_schema", lambda: None)()


def _has_columns(schema: Any) -> bool:
    return schema is not None and not schema.is_tensor_spec()


def _blames_input(error: Exception) -> bool:
    return isinstance(error, (ValueError, TypeError, KeyError)) or type(error).__name__ == "MlflowException"


_READERS: Dict[str, Callable[[Any, Any], Any]] = {
    "dataframe_split": _of_split,
    "dataframe_records": _of_records,
    "instances": _of_instances,
    "inputs": _of_inputs,
}

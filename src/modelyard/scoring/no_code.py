"""The built-in entry of a deployment without an entry script: for a model that MLflow wrote (see mlflow_model), else by
the model's framework.

Input as in v1. ScikitLearn: `{"data": [[…], …], "method": "predict"}`; without `method` a model that has predict_proba
answers with it; the answer is `{<method>: […]}`. Onnx: `{"<input>": […], …}`, or `{"data": …}` when there is one input;
the answer is `{"<output>": […]}`; tensors (see onnx_tensors) under `inputs` are answered by tensors under `outputs`.
TensorFlow: `{"instances": […]}`, `{"inputs": …}` or `{"data": …}`; the answer is `{"predictions": …}`. The model is
loaded here, in the user's environment, and nowhere else: reading a pickled model runs code of whoever wrote it.
"""

from __future__ import annotations

import glob
import importlib
import json
import os
from typing import Any, Callable, Dict, List, Optional

from modelyard.scoring import mlflow_model, onnx_tensors
from modelyard.scoring.config import ServedModel, ServiceConfig
from modelyard.scoring.faults import EntryError
from modelyard.scoring.http1 import Refused

# What run() of an entry is built from: loaded model -> function of the parsed body.
Scorer = Callable[[Dict[str, Any]], Any]
SKLEARN_METHODS = (
    "predict",
    "predict_proba",
    "predict_log_proba",
    "decision_function",
    "transform",
    "score_samples",
)


class NoCodeEntry:
    """Stands where the module of an entry script would: init() and run()."""

    inputs: Optional[Dict[str, Any]] = None  # the schema of what it takes, known after init()

    def __init__(self, model: ServedModel, load: Callable[[str], Scorer]) -> None:
        self._model = model
        self._load = load

    def init(self) -> None:
        self._score = self._load(self._model.path)
        self.inputs = getattr(self._score, "inputs", None)

    def run(self, data: str) -> Any:
        try:
            body = json.loads(data)
        except ValueError as error:
            raise Refused(400, f"The body is not JSON: {error}") from error
        if not isinstance(body, dict):
            raise Refused(400, 'The body has to be a JSON object such as {"data": [[1, 2, 3]]}.')
        return self._score(body)


def entry_for(config: ServiceConfig) -> NoCodeEntry:
    """Raises EntryError where the models given cannot be served without code."""
    if len(config.models) != 1:
        raise EntryError(
            f"A deployment without an entry script serves one model; {len(config.models)} were given."
        )
    model = config.models[0]
    if mlflow_model.is_one(model.path):
        return NoCodeEntry(model, mlflow_model.load)
    load = _LOADERS.get(model.framework.lower())
    if load is None:
        raise EntryError(
            f"Model {model.name} has the framework {model.framework!r}, which is not served without an entry "
            "script. Register it as ScikitLearn, Onnx or TensorFlow, log it with MLflow, or give an entry script."
        )
    return NoCodeEntry(model, load)


def _files(path: str, *endings: str) -> List[str]:
    """Files of a model with one of the endings; of the first ending that has any."""
    if os.path.isfile(path):
        return [path]
    for ending in endings:
        found = sorted(glob.glob(os.path.join(glob.escape(path), "**", "*" + ending), recursive=True))
        if found:
            return found
    return []


def _the_file(path: str, *endings: str) -> str:
    found = _files(path, *endings)
    if len(found) != 1:
        raise EntryError(
            "The model should have one file ending in {}; {} has {}.".format(
                " or ".join(endings), path, ", ".join(map(os.path.basename, found)) or "none"
            )
        )
    return found[0]


def _the_value(body: Dict[str, Any], *names: str) -> Any:
    for name in names:
        if name in body:
            return body[name]
    raise Refused(400, f"The body lacks {names[0]!r}.")


def _load_sklearn(path: str) -> Scorer:
    file = _the_file(path, ".joblib", ".pkl", ".pickle", ".sav")
    try:
        # Of the user's environment, as all libraries here; it reads its own files and plain pickles.
        joblib = importlib.import_module("joblib")
        model = joblib.load(file)
    except ImportError:
        import pickle  # where joblib is not installed the model cannot have been written with it

        with open(file, "rb") as f:
            model = pickle.load(f)  # noqa: S301  # the user's model in the user's environment
    default = "predict_proba" if hasattr(model, "predict_proba") else "predict"

    def score(body: Dict[str, Any]) -> Any:
        data = _the_value(body, "data", "input_data", "inputs")
        method = body.get("method", default)
        if method not in SKLEARN_METHODS or not hasattr(model, method):
            able = ", ".join(m for m in SKLEARN_METHODS if hasattr(model, m))
            raise Refused(400, f"The model has no method {method!r}; it has {able}.")
        try:
            return {method: getattr(model, method)(_as_table(data))}
        except (ValueError, TypeError) as error:
            raise Refused(400, f"The model does not take this data: {error}") from error

    return score


def _as_table(data: Any) -> Any:
    """Rows as given; rows of named columns, or columns of rows, as a data frame."""
    if isinstance(data, dict) or (isinstance(data, list) and data and isinstance(data[0], dict)):
        pandas = importlib.import_module("pandas")
        if isinstance(data, dict) and {"columns", "data"} <= data.keys():
            return pandas.DataFrame(data["data"], columns=data["columns"], index=data.get("index"))
        return pandas.DataFrame(data)
    return data


def _load_onnx(path: str) -> Scorer:
    numpy = importlib.import_module("numpy")
    onnxruntime = importlib.import_module("onnxruntime")
    session = onnxruntime.InferenceSession(_the_file(path, ".onnx"), providers=["CPUExecutionProvider"])
    inputs = {i.name: _ONNX_TYPES.get(i.type, "float32") for i in session.get_inputs()}
    outputs = [o.name for o in session.get_outputs()]

    def score(body: Dict[str, Any]) -> Any:
        given = body.get("inputs")
        if isinstance(given, dict) and given and all(map(onnx_tensors.is_tensor, given.values())):
            return {
                "outputs": {k: onnx_tensors.encode(v) for k, v in run(given, onnx_tensors.decode).items()}
            }
        if len(inputs) == 1 and not inputs.keys() & body.keys():
            body = {next(iter(inputs)): _the_value(body, "data", "inputs", "input_data")}
        return run(body, numpy.array)

    def run(given: Dict[str, Any], array: Callable[[Any], Any]) -> Dict[str, Any]:
        missing = inputs.keys() - given.keys()
        if missing:
            raise Refused(400, "The body lacks {}.".format(", ".join(map(repr, sorted(missing)))))
        try:
            feed = {name: array(given[name]).astype(kind) for name, kind in inputs.items()}
        except (ValueError, TypeError) as error:
            raise Refused(400, f"The model does not take this data: {error}") from error
        return dict(zip(outputs, session.run(outputs, feed)))

    return score


_ONNX_TYPES = {
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(int64)": "int64",
    "tensor(int32)": "int32",
    "tensor(int8)": "int8",
    "tensor(uint8)": "uint8",
    "tensor(bool)": "bool",
    "tensor(string)": "object",
}


def _load_tensorflow(path: str) -> Scorer:
    tensorflow = importlib.import_module("tensorflow")
    saved = _files(path, "saved_model.pb")
    if not saved:
        raise EntryError(f"The model should be a TensorFlow SavedModel; {path} has no saved_model.pb.")
    loaded = tensorflow.saved_model.load(os.path.dirname(saved[0]))
    signature = loaded.signatures["serving_default"]
    specs = signature.structured_input_signature[1]

    def score(body: Dict[str, Any]) -> Any:
        value = _the_value(body, "instances", "inputs", "data")
        given = value if isinstance(value, dict) else {next(iter(specs)): value}
        try:
            feed = {name: tensorflow.constant(given[name], dtype=spec.dtype) for name, spec in specs.items()}
        except (KeyError, ValueError, TypeError) as error:
            raise Refused(400, f"The model does not take this data: {error}") from error
        results = {name: tensor.numpy() for name, tensor in signature(**feed).items()}
        return {"predictions": next(iter(results.values())) if len(results) == 1 else results}

    return score


_LOADERS: Dict[str, Callable[[str], Scorer]] = {
    "scikitlearn": _load_sklearn,
    "onnx": _load_onnx,
    "tensorflow": _load_tensorflow,
}

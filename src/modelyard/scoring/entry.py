"""The entry script: found, loaded, asked how its `run()` wants its input, and called."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import inspect
import json
import os
import sys
import traceback
import types
from typing import Any, Callable, Dict, List, Mapping, Optional
from urllib.parse import parse_qsl

from modelyard.scoring import raw_http
from modelyard.scoring.config import ServiceConfig
from modelyard.scoring.faults import EntryError
from modelyard.scoring.http1 import Refused, Request
from modelyard.scoring.response import Response


def prepare_process(config: ServiceConfig) -> None:
    """Working directory, import path and variables as the entry script expects them; the variables of the configuration
    are there since the process started."""
    source = config.source_dir or os.getcwd()
    root = config.app_root or source
    script = os.path.join(source, config.entry_script)
    os.environ.update(
        {
            "AZUREML_MODEL_DIR": config.model_dir,
            "AZUREML_ENTRY_SCRIPT": os.path.relpath(script, root) if config.entry_script else "",
            "AML_APP_ROOT": root,
            "AZUREML_SOURCE_DIRECTORY": source,
            "SERVICE_NAME": config.endpoint,
            "WORKSPACE_NAME": config.workspace,
        }
    )
    os.chdir(root)
    script_dir = os.path.dirname(script)
    # `python -m` put its own start directory first; the source directory takes that place.
    sys.path[0] = source
    if os.path.realpath(script_dir) != os.path.realpath(source):
        sys.path.insert(1, script_dir)
    if root not in sys.path:
        sys.path.append(root)


class _UncachedLoader(importlib.machinery.SourceFileLoader):
    """Compiles the file that is there: cached bytecode is taken for current when size and second are the same."""

    def get_code(self, fullname: str) -> Any:
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


def load(config: ServiceConfig) -> Any:
    """The module of the entry script, or the built-in entry of a no-code deployment. Raises EntryError, or whatever
    the script's own top level raises."""
    if not config.entry_script:
        from modelyard.scoring import no_code  # only where there is no entry script

        return no_code.entry_for(config)
    path = os.path.join(config.source_dir, config.entry_script)
    if not os.path.isfile(path):
        raise EntryError(f"The entry script {config.entry_script} is not in the source directory.")
    name = os.path.splitext(os.path.basename(path))[0]
    # Its own name, so that classes it defines are pickled under it; never over a module that is there already.
    if not name.isidentifier() or name in sys.modules:
        name = "entry_module"
    spec = importlib.util.spec_from_file_location(name, path, loader=_UncachedLoader(name, path))
    if spec is None or spec.loader is None:
        raise EntryError(f"The entry script {config.entry_script} is not a Python file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    if not callable(getattr(module, "run", None)):
        raise EntryError(f"The entry script {config.entry_script} has no function run(data).")
    return module


class RunFunction:
    """`run()` and the way it takes its input: the request itself, parsed JSON by name, or JSON text."""

    def __init__(self, run: Callable[..., Any]) -> None:
        self.run = run
        if inspect.iscoroutinefunction(run) or inspect.isasyncgenfunction(run):
            raise EntryError("run() is `async def`; it has to be a plain function that returns the answer.")
        self.is_raw = bool(getattr(run, raw_http.MARK, False))
        self.input_schema: Optional[Dict[str, Any]] = None
        self.output_schema: Optional[Dict[str, Any]] = None
        self.schema_versions: List[str] = []
        self._read_schema()
        parameters = list(inspect.signature(run).parameters.values())
        self.takes_headers = any(p.name == "request_headers" for p in parameters) and not self.is_raw
        inputs = [p for p in parameters if p.name != "request_headers"]
        named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
        self.names = [p.name for p in inputs if p.kind in named]
        self.required = {p.name for p in inputs if p.kind in named and p.default is inspect.Parameter.empty}
        self.takes_any_name = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in inputs)
        self.takes_schema = self.input_schema is not None
        self._code = _innermost_code(run)
        if not self.takes_schema:
            self._check_plain(inputs)

    def _check_plain(self, inputs: List[inspect.Parameter]) -> None:
        positional = [
            p
            for p in inputs
            if p.kind
            in (
                inspect.Parameter.POSITIONAL_ONLY,
                inspect.Parameter.POSITIONAL_OR_KEYWORD,
                inspect.Parameter.VAR_POSITIONAL,
            )
        ]
        others = [p for p in positional[1:] if p.default is p.empty and p.kind is not p.VAR_POSITIONAL]
        if not positional or others:
            raise EntryError(
                f"run() has to take one parameter, the request's data; it is run{inspect.signature(self.run)}. "
                "For more, decorate it with input_schema of the package inference-schema."
            )

    def _read_schema(self) -> None:
        # Imported by the entry script already if its run() is decorated.
        schemas = sys.modules.get("inference_schema.schema_util")
        if schemas is None or not schemas.is_schema_decorated(self.run):
            return
        found = schemas.get_input_schema(self.run)
        # Without an input_schema the package answers a bare {"type": "object"}.
        self.input_schema = found if "properties" in found else None
        self.output_schema = schemas.get_output_schema(self.run)
        if hasattr(schemas, "get_supported_versions"):
            self.schema_versions = list(schemas.get_supported_versions(self.run))

    def arguments(self, request: Request) -> tuple[List[Any], Dict[str, Any]]:
        """What `run` is called with. Raises Refused."""
        if self.is_raw:
            return [raw_http.AMLRequest(request)], {}
        extra: Dict[str, Any] = {}
        if self.takes_headers:
            extra["request_headers"] = raw_http.AMLRequest(request).headers
        if request.head.method in ("GET", "HEAD"):
            given = dict(parse_qsl(request.head.query, keep_blank_values=True)[::-1])
            if not self.takes_schema:
                return [json.dumps(given)], extra
            return [], dict(self._fitting(given), **extra)
        try:
            text = request.body.decode("utf-8")
        except UnicodeDecodeError as error:
            raise Refused(400, f"The body is not UTF-8 text: {error}") from error
        if not self.takes_schema:
            return [text], extra
        try:
            value = json.loads(text)
        except ValueError as error:
            raise Refused(400, f"The body is not JSON: {error}") from error
        return [], dict(self._fitting(value), **extra)

    def _fitting(self, value: Any) -> Mapping[str, Any]:
        wanted = ", ".join(repr(n) for n in self.names)
        if not isinstance(value, dict):
            raise Refused(400, f"The body has to be a JSON object with {wanted}.")
        missing = self.required - value.keys()
        if missing:
            raise Refused(
                400,
                "The body lacks {}; run() takes {}.".format(", ".join(map(repr, sorted(missing))), wanted),
            )
        unknown = value.keys() - set(self.names)
        if unknown and not self.takes_any_name:
            raise Refused(
                400,
                "The body has {}, but run() takes {}.".format(", ".join(map(repr, sorted(unknown))), wanted),
            )
        return value

    def reached(self, error: BaseException) -> bool:
        """Whether the user's own run() was entered before `error`; if not, the decorators refused the input."""
        return any(frame.f_code is self._code for frame, _ in traceback.walk_tb(error.__traceback__))


def _innermost_code(run: Any) -> Optional[types.CodeType]:
    inner = inspect.unwrap(run)
    code = getattr(inner, "__code__", None)
    return code if isinstance(code, types.CodeType) else None


def encode_result(result: Any) -> Response:
    """What `run()` returned, as an answer. Raises TypeError or ValueError when it cannot be written."""
    if isinstance(result, (bytes, bytearray)):
        return Response(200, bytes(result), b"content-type: application/octet-stream\r\n")
    if isinstance(result, raw_http.AMLResponse):
        return raw_http.to_response(result)
    if isinstance(result, dict) and "aml_response_headers" in result and "aml_response_body" in result:
        answer = raw_http.AMLResponse(
            encoded_json(result["aml_response_body"]),
            200,
            dict({"Content-Type": "application/json"}, **result["aml_response_headers"]),
        )
        return raw_http.to_response(answer)
    if hasattr(result, "get_data") and hasattr(result, "status_code"):
        return raw_http.to_response(result)
    return Response(200, encoded_json(result))


def encoded_json(value: Any) -> bytes:
    """As v1 wrote it: json.dumps, with numpy's and pandas' values as the lists and numbers they hold."""
    return _ENCODER.encode(value).encode("ascii")


def _plain_value(value: Any) -> Any:
    """Without importing numpy or pandas: their values are known by what they can do."""
    if type(value).__module__.partition(".")[0] == "pandas" and hasattr(value, "to_dict"):
        return value.to_dict(orient="records") if value.ndim == 2 else value.tolist()
    for method in ("tolist", "isoformat"):
        convert = getattr(value, method, None)
        if callable(convert):
            return convert()
    raise TypeError(
        f"run() returned a {type(value).__name__}, which JSON has no form for; return lists, dicts, strings and "
        "numbers, numpy or pandas values, or an AMLResponse"
    )


_ENCODER = json.JSONEncoder(default=_plain_value)

"""`@rawhttp` entry scripts: `run(request)` gets the HTTP request itself and answers one.

The names of v1's `azureml.contrib.services`: AMLRequest, AMLResponse, rawhttp.
"""

from __future__ import annotations

import io
import json as json_module
import re
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple, TypeVar, Union
from urllib.parse import parse_qsl, unquote

from modelyard.scoring.http1 import Refused, Request
from modelyard.scoring.response import Response

F = TypeVar("F", bound=Callable[..., Any])
MARK = "is_raw_http"
_HEADER_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_DISPOSITION_PART = re.compile(r';\s*([a-zA-Z*]+)=(?:"((?:[^"\\]|\\.)*)"|([^;\s]*))')
# These say how the answer is framed, which is the scoring host's to say.
_FRAMING = ("content-length", "connection", "transfer-encoding", "keep-alive", "upgrade", "trailer")


def rawhttp(func: F) -> F:
    """Mark `run` as one that takes an AMLRequest and answers an AMLResponse."""
    setattr(func, MARK, True)
    return func


class Values(Dict[str, Any]):
    """Names to first values, with `getlist(name)` for all of them."""

    def __init__(self, pairs: List[Tuple[str, Any]]) -> None:
        super().__init__()
        self._all: Dict[str, List[Any]] = {}
        for name, value in pairs:
            self._all.setdefault(name, []).append(value)
            self.setdefault(name, value)

    def getlist(self, name: str) -> List[Any]:
        return list(self._all.get(name, ()))

    def to_dict(self, flat: bool = True) -> Dict[str, Any]:
        return dict(self) if flat else {k: list(v) for k, v in self._all.items()}


class Headers:
    """Names in any case to values; a name may be set anew but not repeated."""

    def __init__(self, given: Any = ()) -> None:
        self._items: Dict[str, Tuple[str, str]] = {}
        self.extend(given or ())

    def extend(self, given: Any) -> None:
        for name, value in given.items() if hasattr(given, "items") else given:
            self[name] = value

    def __getitem__(self, name: str) -> str:
        return self._items[name.lower()][1]

    def __setitem__(self, name: str, value: Any) -> None:
        self._items[name.lower()] = (name, str(value))

    def __delitem__(self, name: str) -> None:
        del self._items[name.lower()]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._items

    def __iter__(self) -> Iterator[Tuple[str, str]]:
        return iter(self._items.values())

    def __len__(self) -> int:
        return len(self._items)

    def __repr__(self) -> str:
        return f"Headers({dict(self._items.values())!r})"

    def get(self, name: str, default: Optional[str] = None) -> Optional[str]:
        return self._items.get(name.lower(), ("", default))[1]

    def items(self) -> List[Tuple[str, str]]:
        return list(self._items.values())

    def keys(self) -> List[str]:
        return [name for name, _ in self._items.values()]

    def add(self, name: str, value: Any) -> None:
        self[name] = value

    set = add


class UploadedFile(io.BytesIO):
    """A file of a multipart form: a binary file object that knows its name."""

    def __init__(self, data: bytes, filename: str, content_type: str, field: str) -> None:
        super().__init__(data)
        self.filename = filename
        self.content_type = self.mimetype = content_type
        # Some libraries take `.name` for a path; it is the form's field name, as in v1.
        self.name = field

    def save(self, destination: Any) -> None:
        if hasattr(destination, "write"):
            destination.write(self.getvalue())
            return
        with open(destination, "wb") as f:
            f.write(self.getvalue())


class AMLRequest:
    """The request that a `@rawhttp` entry script gets."""

    def __init__(self, request: Request) -> None:
        head = request.head
        self._body = request.body
        self._parts: Optional[Tuple[Values, Values]] = None
        self.method = head.method
        self.path = unquote(head.path)
        self.query_string = head.query.encode("ascii")
        self.full_path = self.path + "?" + unquote(head.query)
        self.headers = Headers([(k.decode("ascii"), v.decode("latin-1")) for k, v in head.headers.items()])
        self.host = self.headers.get("host", "") or ""
        self.url = "http://" + self.host + head.path + ("?" + head.query if head.query else "")
        self.base_url = "http://" + self.host + head.path
        self.args = Values(parse_qsl(head.query, keep_blank_values=True))
        self.content_type = self.headers.get("content-type", "") or ""
        self.mimetype = self.content_type.partition(";")[0].strip().lower()
        self.content_length = len(request.body)

    def get_data(
        self,
        cache: bool = True,
        as_text: bool = False,
        parse_form_data: bool = False,
    ) -> Any:
        """The body as bytes, or as str. `cache` and `parse_form_data` are v1's and change nothing here."""
        return self._body.decode("utf-8", "replace") if as_text else self._body

    @property
    def data(self) -> bytes:
        return self._body

    @property
    def stream(self) -> io.BytesIO:
        return io.BytesIO(self._body)

    def get_json(
        self,
        force: bool = False,
        silent: bool = False,
        cache: bool = True,
    ) -> Any:
        """The body read as JSON. Without `silent`, a body that isn't JSON is answered with 400."""
        try:
            return json_module.loads(self._body.decode("utf-8"))
        except ValueError as error:
            if silent:
                return None
            raise Refused(400, f"The body is not JSON: {error}") from error

    @property
    def is_json(self) -> bool:
        return self.mimetype == "application/json" or self.mimetype.endswith("+json")

    @property
    def json(self) -> Any:
        return self.get_json()

    @property
    def form(self) -> Values:
        return self._form()[0]

    @property
    def files(self) -> Values:
        """Field names to UploadedFile."""
        return self._form()[1]

    @property
    def values(self) -> Values:
        return Values(list(self.args.items()) + list(self.form.items()))

    def _form(self) -> Tuple[Values, Values]:
        if self._parts is None:
            if self.mimetype == "multipart/form-data":
                self._parts = parse_multipart(self.content_type, self._body)
            elif self.mimetype == "application/x-www-form-urlencoded":
                pairs = parse_qsl(self._body.decode("utf-8", "replace"), keep_blank_values=True)
                self._parts = Values(pairs), Values([])
            else:
                self._parts = Values([]), Values([])
        return self._parts


def parse_multipart(content_type: str, body: bytes) -> Tuple[Values, Values]:
    """Fields and files of a multipart/form-data body. Raises Refused."""
    boundary = dict(_parameters(content_type)).get("boundary", "")
    if not boundary:
        raise Refused(400, "A multipart body needs a boundary in its Content-Type.")
    mark = b"\r\n--" + boundary.encode("latin-1")
    sections = (b"\r\n" + body).split(mark)
    if len(sections) < 2 or not sections[-1].startswith(b"--"):
        raise Refused(400, "The multipart body does not end with its boundary.")
    fields: List[Tuple[str, Any]] = []
    files: List[Tuple[str, Any]] = []
    for section in sections[1:-1]:
        head, found, data = section.partition(b"\r\n\r\n")
        headers = Headers(
            [
                (k.strip(), v.strip())
                for k, _, v in (line.partition(":") for line in head.decode("utf-8", "replace").split("\r\n"))
                if k.strip()
            ]
        )
        parameters = dict(_parameters(headers.get("content-disposition", "") or ""))
        if not found or "name" not in parameters:
            raise Refused(400, "A part of the multipart body has no name.")
        name = parameters["name"]
        if "filename" in parameters:
            kind = headers.get("content-type", "application/octet-stream") or ""
            files.append((name, UploadedFile(data, parameters["filename"], kind, name)))
        else:
            fields.append((name, data.decode("utf-8", "replace")))
    return Values(fields), Values(files)


def _parameters(value: str) -> List[Tuple[str, str]]:
    return [
        (name.lower(), re.sub(r"\\(.)", r"\1", quoted) if quoted else bare)
        for name, quoted, bare in _DISPOSITION_PART.findall(value)
    ]


class AMLResponse:
    """The answer of an entry script, with a status and headers of its own.

    `message` is text or bytes; with `json_str`, or when it is neither, it is written as JSON."""

    def __init__(
        self,
        message: Any,
        status_code: int,
        response_headers: Any = None,
        json_str: bool = False,
        run_function_failed: bool = False,
        headers: Any = None,
    ) -> None:
        self.status_code = int(status_code)
        self.run_function_failed = run_function_failed
        self.headers = Headers(response_headers)
        self.headers.extend(headers or ())
        if json_str or not isinstance(message, (str, bytes, bytearray, memoryview)):
            self._default_type = "application/json"
            message = json_module.dumps(message)
        elif isinstance(message, str):
            self._default_type = "text/plain; charset=utf-8"
        else:
            self._default_type = "application/octet-stream"
        self._data = b""
        self.set_data(message)

    def set_data(self, value: Union[str, bytes]) -> None:
        self._data = value.encode("utf-8") if isinstance(value, str) else bytes(value)

    def get_data(self, as_text: bool = False) -> Any:
        return self._data.decode("utf-8") if as_text else self._data

    data = property(get_data, set_data)

    @property
    def content_type(self) -> str:
        return self.headers.get("content-type") or self._default_type

    @content_type.setter
    def content_type(self, value: str) -> None:
        self.headers["Content-Type"] = value

    mimetype = content_type


def to_response(answer: Any) -> Response:
    """An AMLResponse (or an object shaped like one, as Flask's) in wire form.

    Raises ValueError for a status or header that HTTP has no way to say."""
    status = int(answer.status_code)
    if not 200 <= status <= 599:
        raise ValueError(f"{status} is not a status of an answer")
    lines = []
    has_type = False
    for name, value in answer.headers.items():
        if name.lower() in _FRAMING:
            continue
        if not _HEADER_NAME.fullmatch(name) or re.search(r"[\x00-\x08\x0a-\x1f\x7f]", str(value)):
            raise ValueError(f"the header {name!r} has characters that a header cannot have")
        has_type = has_type or name.lower() == "content-type"
        lines.append(f"{name}: {value}\r\n")
    if not has_type:
        lines.append(f"content-type: {answer.content_type}\r\n")
    return Response(status, answer.get_data(), "".join(lines).encode("latin-1", "replace"))

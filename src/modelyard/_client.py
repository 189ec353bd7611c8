"""HTTP to the yard over http.client: keep-alive, bounded retries, streaming both ways, errors as exceptions.

One connection a thread, made anew after a fork. Proxy variables are not looked at: a yard is addressed
directly.
"""

from __future__ import annotations

import json
import os
import threading
import time
import urllib.parse
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Dict,
    Iterable,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Tuple,
    Type,
    Union,
)

from modelyard import errors
from modelyard.version import VERSION
from modelyard.wire import codec

if TYPE_CHECKING:
    from modelyard._transport import Connections

# A body is bytes, or a function that makes the stream anew for each try.
Content = Union[bytes, Callable[[], Iterable[bytes]]]

INTERACTIVE_PATIENCE_S = 10.0
RUN_PATIENCE_S = 600.0  # a yard that restarts must not kill a training that has gone on for days

_IDEMPOTENT = frozenset(["GET", "HEAD", "PUT", "PATCH", "DELETE"])  # PATCH bodies here set, they don't add
_RETRY_STATUS = frozenset([429, 502, 503, 504])
_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 2.0


class Answer(NamedTuple):
    """One HTTP answer. Header names are lower case."""

    status: int
    headers: Dict[str, str]
    body: bytes


def path(*parts: Any) -> str:
    """`/api/v1/…` with every part quoted; a `/` inside a part stays, so that file paths keep their shape."""
    return "/api/v1/" + "/".join(urllib.parse.quote(str(part), safe="/~:@!$'()*,;=") for part in parts)


def _not_watched(_size_bytes: int) -> None:
    pass


class Client:
    """Speaks to one yard with one token.

    `patience_s`: how long a request that may be repeated is tried again while the yard is away or busy.
    """

    sender: Any = None  # who keeps what runs log (modelyard.runs.sending); None: this process's own

    def __init__(
        self,
        url: str,
        token: str,
        timeout_s: float = 60.0,
        patience_s: float = INTERACTIVE_PATIENCE_S,
        connect_timeout_s: float = 10.0,
    ) -> None:
        parts = urllib.parse.urlsplit(url if "://" in url else "http://" + url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise errors.UserErrorException(
                f"{url!r} is not the address of a yard. It looks like http://127.0.0.1:7070."
            )
        self.url = f"{parts.scheme}://{parts.netloc}" + parts.path.rstrip("/")
        self.token = token
        self.timeout_s = timeout_s
        self.patience_s = patience_s
        self.moved: Callable[[int], Any] = (
            _not_watched  # told of each piece of a file that went or came, in bytes
        )
        self._connect_timeout_s = connect_timeout_s
        self._connections: Optional[Connections] = None
        self._is_tls = parts.scheme == "https"
        self._host = parts.hostname
        self._port = parts.port or (443 if self._is_tls else 80)
        self._prefix = parts.path.rstrip("/")

    @property
    def is_local(self) -> bool:
        """Whether the yard is on this machine, so that paths here mean something there."""
        return self._host in ("localhost", "::1") or self._host.startswith("127.")

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        query: Optional[Mapping[str, Any]] = None,
        kind: Optional[Type[Any]] = None,
        content: Optional[Content] = None,
        content_type: Optional[str] = None,
        headers: Optional[Mapping[str, str]] = None,
        idempotent: Optional[bool] = None,
        content_length: Optional[int] = None,
        timeout_s: Optional[float] = None,
        patience_s: Optional[float] = None,
    ) -> Any:
        """Send a wire value (`body`) or raw `content`; answer the decoded `kind`, or plain JSON without one.

        Say `idempotent=True` for a POST that the yard knows again (run id, offset, request_id). None for 204.
        Raises the exceptions of modelyard.errors.
        """
        answer = self.raw(
            method,
            path,
            body=body,
            query=query,
            content=content,
            content_type=content_type,
            headers=headers,
            idempotent=idempotent,
            content_length=content_length,
            timeout_s=timeout_s,
            patience_s=patience_s,
        )
        if answer.status == 204 or not answer.body:
            return None
        try:
            return (
                codec.loads(kind, answer.body)
                if kind is not None
                else json.loads(answer.body.decode("utf-8"))
            )
        except ValueError as error:
            raise errors.ServiceException(
                f"The answer of {self.url} to {method} {path} is not what this SDK ({VERSION}) "
                f"expects: {error}. Is the yard of another version?",
                inner_exception=error,
                code="bad_answer",
                status=answer.status,
            ) from error

    def raw(
        self,
        method: str,
        path: str,
        body: Any = None,
        query: Optional[Mapping[str, Any]] = None,
        content: Optional[Content] = None,
        content_type: Optional[str] = None,
        headers: Optional[Mapping[str, str]] = None,
        idempotent: Optional[bool] = None,
        content_length: Optional[int] = None,
        timeout_s: Optional[float] = None,
        patience_s: Optional[float] = None,
    ) -> Answer:
        """As `request`, with the whole answer read into memory and not decoded."""
        if body is not None:
            content, content_type = codec.dumps(body), "application/json"
        sent = self._headers(content, content_type, content_length, headers)
        target = self._target(path, query)
        wire = self._wire()
        repeatable = method in _IDEMPOTENT if idempotent is None else idempotent
        retry = _Retry(self.patience_s if patience_s is None else patience_s)
        while True:
            problem: Optional[BaseException] = None
            answer: Optional[Answer] = None
            try:
                response = wire.send(method, target, content, sent, timeout_s or self.timeout_s)
                answer = Answer(response.status, wire.lower(response), response.read())
            except wire.NotSent as error:
                problem = error.__cause__
            except wire.BROKEN as error:
                wire.drop()
                if not repeatable:
                    raise self._unavailable(method, path, error) from error
                problem = error
            if answer is not None:
                if answer.status < 400:
                    return answer
                if method == "DELETE" and answer.status == 404 and retry.tries:
                    return Answer(204, answer.headers, b"")  # the try whose answer was lost has deleted it
                if not (repeatable and answer.status in _RETRY_STATUS) or not retry.pause(
                    _retry_after(answer)
                ):
                    raise _error_of(answer, method, self.url + target)
            elif not retry.pause():
                raise self._unavailable(method, path, problem) from problem

    def download(
        self,
        path: str,
        target: str,
        query: Optional[Mapping[str, Any]] = None,
        timeout_s: Optional[float] = None,
    ) -> int:
        """Write what `path` answers to the file `target`, whole or not at all; answer its size in bytes.

        A broken transfer goes on where it stopped.
        """
        folder = os.path.dirname(os.path.abspath(target))
        os.makedirs(folder, exist_ok=True)
        part = os.path.join(
            folder,
            f".{os.path.basename(target)[:200]}.{os.getpid()}-{threading.get_ident()}.part",
        )
        full = self._target(path, query)
        try:
            with open(part, "wb") as file:
                self._fetch_into(file, full, path, timeout_s or self.timeout_s)
                size = file.tell()
            os.replace(part, target)
        finally:
            if os.path.exists(part):
                os.unlink(part)
        return size

    def close(self) -> None:
        """Close this thread's connection; a later request opens another."""
        self._wire().drop()

    def _wire(self) -> Connections:
        if self._connections is None:
            self._connections = self._new_wire()
        return self._connections

    def _new_wire(self) -> Connections:
        from modelyard._transport import Connections  # http.client costs 30 ms, and some never connect

        return Connections(self._host, self._port, self._is_tls, self._connect_timeout_s)

    def _fetch_into(self, file: Any, target: str, path: str, timeout_s: float) -> None:
        wire, retry = self._wire(), _Retry(self.patience_s)
        while True:
            start = file.tell()
            sent = self._headers(None, None, None, {"Range": f"bytes={start}-"} if start else None)
            try:
                response = wire.send("GET", target, None, sent, timeout_s)
                if response.status >= 400:
                    answer = Answer(response.status, wire.lower(response), response.read())
                    if answer.status == 416 and start:
                        return  # nothing after what we have
                    if answer.status not in _RETRY_STATUS or not retry.pause(_retry_after(answer)):
                        raise _error_of(answer, "GET", self.url + target)
                    continue
                if start and response.status != 206:
                    file.seek(0)
                    file.truncate()
                wire.copy(response, file, self.moved)
                return
            except (wire.NotSent, *wire.BROKEN) as error:
                if isinstance(error, OSError) and getattr(error, "errno", None) == 28:
                    raise  # the disk here is full: not the yard's doing
                wire.drop()
                if file.tell() > start:
                    retry = _Retry(self.patience_s)  # patience counts from the last byte that came
                if not retry.pause():
                    raise self._unavailable("GET", path, error.__cause__ or error) from error

    def _headers(
        self,
        content: Optional[Content],
        content_type: Optional[str],
        content_length: Optional[int],
        more: Optional[Mapping[str, str]],
    ) -> Dict[str, str]:
        headers = {"User-Agent": "modelyard/" + VERSION, "Accept": "application/json, */*"}
        if self.token:
            headers["Authorization"] = "Bearer " + self.token
        if content is not None:
            headers["Content-Type"] = content_type or "application/octet-stream"
        if callable(content):
            if content_length is not None:
                headers["Content-Length"] = str(content_length)
            else:
                headers["Transfer-Encoding"] = "chunked"
        headers.update(more or {})
        return headers

    def _target(self, path: str, query: Optional[Mapping[str, Any]]) -> str:
        pairs: List[Tuple[str, str]] = []
        for name, value in (query or {}).items():
            for one in value if isinstance(value, (list, tuple)) else [value]:
                if one is not None:
                    pairs.append((name, _query_text(one)))  # two loops read better unfolded
        return self._prefix + path + ("?" + urllib.parse.urlencode(pairs) if pairs else "")

    def _unavailable(self, method: str, path: str, cause: Optional[BaseException]) -> errors.YardUnavailable:
        reason = str(cause) or type(cause).__name__
        return errors.YardUnavailable(
            f"The yard at {self.url} does not answer ({method} {path}: {reason}). Is it running? "
            "`modelyard status` tells, `modelyard up` starts it.",
            inner_exception=cause,
            code="yard_unavailable",
        )


class _Retry:
    """Pauses that grow, within a bound of time."""

    def __init__(self, patience_s: float) -> None:
        self._deadline = time.monotonic() + patience_s
        self._pause_s = _FIRST_PAUSE_S
        self.tries = 0

    def pause(self, wanted_s: float = 0.0) -> bool:
        """Sleep before the next try; False when patience is at its end."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            return False
        # Spread by a half, so that many runs don't come back in step. `random` would cost import time.
        spread = 0.75 + os.urandom(1)[0] / 510.0
        time.sleep(min(left, max(wanted_s, self._pause_s * spread)))
        self._pause_s = min(self._pause_s * 2, _LONGEST_PAUSE_S)
        self.tries += 1
        return True


class Address(NamedTuple):
    """Where a yard is and how it was found. `workspace` is empty where the place does not name one."""

    url: str
    token: str
    workspace: str
    origin: str


def home_directory(environ: Mapping[str, str] = os.environ) -> str:
    """Where the yard of this user and machine keeps its things."""
    return os.path.abspath(
        os.path.expanduser(environ.get("MODELYARD_HOME") or os.path.join("~", ".modelyard"))
    )


def discover(environ: Mapping[str, str] = os.environ) -> Address:
    """Find the yard: our run's, else MODELYARD_URL and MODELYARD_TOKEN, else this machine's.

    Raises YardUnavailable naming the places that were looked at.
    """
    if environ.get("AZUREML_RUN_TOKEN") and environ.get("AZUREML_SERVICE_ENDPOINT"):
        return Address(
            environ["AZUREML_SERVICE_ENDPOINT"],
            environ["AZUREML_RUN_TOKEN"],
            environ.get("AZUREML_ARM_WORKSPACE_NAME", ""),
            "run " + environ.get("AZUREML_RUN_ID", ""),
        )
    home = home_directory(environ)
    if environ.get("MODELYARD_URL"):
        token = environ.get("MODELYARD_TOKEN") or _read_text(os.path.join(home, "owner.token"))
        return Address(environ["MODELYARD_URL"], token, "", "MODELYARD_URL")
    record = os.path.join(home, "yard.json")
    try:
        with open(record, encoding="utf-8") as file:
            url = str(json.load(file)["url"])
    except FileNotFoundError:
        raise errors.YardUnavailable(
            f"No yard runs here: there is no {record}, and MODELYARD_URL is not set. "
            "`modelyard up` starts one.",
            code="no_yard",
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise errors.YardUnavailable(
            f"{record} can't be read ({error}). `modelyard down` and `modelyard up` write it anew.",
            code="no_yard",
        ) from error
    token = environ.get("MODELYARD_TOKEN") or _read_text(os.path.join(home, "owner.token"))
    return Address(url, token, "", record)


def connect(environ: Mapping[str, str] = os.environ) -> Client:
    """A client for the yard that `discover` finds; patient inside a run, quick to tell a person."""
    address = discover(environ)
    in_run = address.origin.startswith("run ")
    return Client(address.url, address.token, patience_s=RUN_PATIENCE_S if in_run else INTERACTIVE_PATIENCE_S)


def _read_text(file: str) -> str:
    try:
        with open(file, encoding="utf-8") as stream:
            return stream.read().strip()
    except OSError as error:
        raise errors.AuthenticationException(
            f"The token of the yard can't be read from {file} ({error.strerror or error}). "
            "Are you the user who started the yard? Otherwise set MODELYARD_TOKEN.",
            inner_exception=error,
            code="no_token",
        ) from error


def _query_text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(getattr(value, "value", value))


def _retry_after(answer: Answer) -> float:
    try:
        return min(30.0, float(answer.headers.get("retry-after", "0")))
    except ValueError:
        return 0.0


def _error_of(answer: Answer, method: str, url: str) -> errors.AzureMLException:
    code, detail = "", ""
    extra: Any = None
    try:
        value = json.loads(answer.body.decode("utf-8"))
        if isinstance(value, dict):
            code, detail = str(value.get("code", "")), str(value.get("detail", ""))
            extra = value.get("extra")
    except ValueError:
        pass  # not ours: a proxy's page, say
    if not detail:
        detail = "{} {} was answered with HTTP {}. {}".format(
            method, url, answer.status, answer.body[:500].decode("utf-8", "replace")
        ).strip()
    return errors.from_problem(answer.status, code, detail, extra if isinstance(extra, dict) else {})

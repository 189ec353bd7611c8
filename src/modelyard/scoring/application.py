"""What a scoring host answers: health, `/score`, `/swagger.json`; keys, CORS, and v1's headers."""

from __future__ import annotations

import hmac
import json
import os
import secrets
import sys
import time
from email.utils import formatdate
from http import HTTPStatus
from typing import Any, Callable, Dict, List, Optional
from urllib.parse import parse_qsl

from modelyard.scoring import entry, faults, openapi, telemetry
from modelyard.scoring.config import ServiceConfig
from modelyard.scoring.http1 import Head, Refused, Request
from modelyard.scoring.response import Response, plain

_MAX_ID_BYTES = 100
_METHODS = b"GET, POST, OPTIONS"
_NO_HEAD = Head("GET", b"/", {}, 10)


class Application:
    """Answers requests with one loaded entry script; one request at a time."""

    def __init__(
        self,
        config: ServiceConfig,
        run: entry.RunFunction,
        slot: memoryview,
        inputs: Optional[Dict[str, Any]] = None,
    ) -> None:
        """`inputs`: the schema of what a deployment without an entry script takes."""
        self._run = run
        self._slot = slot
        self._inputs = inputs
        self._ids = secrets.token_hex(10)
        self._served = 0
        self._date_s = 0
        self._date = b""
        self._cors = [o.strip() for o in os.environ.get("AML_CORS_ORIGINS", "").split(",") if o.strip()]
        self.configure(config)
        self._routes: Dict[str, Dict[str, Callable[[Request], Response]]] = {
            "/": {"GET": self._health},
            "/swagger.json": {"GET": self._swagger},
            "/score": {"GET": self._score, "POST": self._score},
        }
        if run.is_raw:
            self._routes["/score"]["OPTIONS"] = self._score

    def configure(self, config: ServiceConfig) -> None:
        """Take over what may change while requests are answered: keys, whether they are asked for."""
        self._config = config
        self._keys = [b"Bearer " + key.encode("utf-8") for key in config.keys]

    def answer(self, request: Request) -> Response:
        head = request.head
        try:
            response = self._route(request)
        except Refused as refused:
            response = plain(refused.status, refused.words, _challenge(refused.status))
        return self._with_headers(head, response)

    def refuse(self, refused: Refused) -> Response:
        """The answer to what could not be read as a request."""
        return self._with_headers(_NO_HEAD, plain(refused.status, refused.words))

    def _route(self, request: Request) -> Response:
        head = request.head
        origin = head.headers.get(b"origin")
        if origin is not None:
            self._check_origin(head, origin.decode("latin-1"))
        methods = self._routes.get(head.path)
        if methods is None:
            raise Refused(404, "There is nothing at this path; the service has /score, /swagger.json and /.")
        if head.method == "OPTIONS" and ("OPTIONS" not in methods or self._is_preflight(head)):
            return Response(200, b"", b"allow: " + _METHODS + b"\r\n")
        if head.path != "/":
            self._check_key(head)
        act = methods.get("GET" if head.method == "HEAD" else head.method)
        if act is None:
            allowed = ", ".join(dict.fromkeys([*methods, "OPTIONS"])).encode("ascii")
            words = "{} takes {}.".format(head.path, allowed.decode("ascii"))
            return plain(405, words, b"allow: " + allowed + b"\r\n")
        return act(request)

    def _check_key(self, head: Head) -> None:
        if not self._config.auth_enabled:
            return
        given = head.headers.get(b"authorization", b"")
        if given[:7].lower() == b"bearer ":
            given = b"Bearer " + given[7:].strip()
        # All keys are compared, so that the time says nothing about which one was near.
        if not sum([hmac.compare_digest(given, key) for key in self._keys]):
            raise Refused(401, "The key is missing or wrong. Send it as `Authorization: Bearer <key>`.")

    def _check_origin(self, head: Head, origin: str) -> None:
        """Without keys, any page that a browser on this network shows could post to the service; so a page's origin
        has to be the service's own or named in AML_CORS_ORIGINS."""
        if self._config.auth_enabled or self._allows(origin) or head.method in ("GET", "HEAD", "OPTIONS"):
            return
        host = head.headers.get(b"host", b"").decode("latin-1")
        if origin.partition("://")[2] != host:
            raise Refused(403, f"Requests from pages of {origin} are not allowed; see AML_CORS_ORIGINS.")

    def _allows(self, origin: str) -> bool:
        return "*" in self._cors or origin in self._cors

    def _is_preflight(self, head: Head) -> bool:
        return bool(self._cors) and b"access-control-request-method" in head.headers

    # -- the three routes

    def _health(self, _request: Request) -> Response:
        return plain(200, "Healthy")

    def _swagger(self, request: Request) -> Response:
        given = dict(parse_qsl(request.head.query)).get("version", "3")
        if given not in ("2", "2.0", "3", "3.0", "3.1"):
            raise Refused(400, "version is 2 or 3.")
        return Response(200, json.dumps(self.swagger(int(given[0]))).encode("ascii"))

    def swagger(self, version: int = 3) -> Dict[str, Any]:
        """The description; a `swagger.json` beside the entry script takes its place."""
        config = self._config
        own = os.path.join(config.source_dir, "swagger.json") if config.source_dir else ""
        if own and os.path.isfile(own):
            try:
                with open(own, encoding="utf-8") as f:
                    value = json.load(f)
                if isinstance(value, dict):
                    return value
            except (OSError, ValueError) as error:
                sys.stderr.write(f"swagger.json of the source directory is not used: {error}\n")
        return openapi.describe(
            self._run, config.endpoint, config.revision, config.auth_enabled, version, self._inputs
        )

    def _score(self, request: Request) -> Response:
        kind = request.head.headers.get(b"content-type", b"").lower()
        if b"pickle" in kind:
            raise Refused(415, "Pickled bodies are refused: unpickling runs code of the sender. Send JSON.")
        arguments, named = self._run.arguments(request)
        slot = self._slot
        began_ns = time.monotonic_ns()
        slot[telemetry.BUSY_SINCE_NS] = began_ns
        try:
            result = self._run.run(*arguments, **named)
        except Refused:
            raise
        # The user's code may raise anything, SystemExit and a native library's panics included; the client is told,
        # the service goes on.
        except BaseException as error:
            return self._run_failed(error)
        finally:
            slot[telemetry.BUSY_SINCE_NS] = 0
        spent_ms = (time.monotonic_ns() - began_ns) / 1e6
        try:
            response = entry.encode_result(result)
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            return self._run_failed(error, "The result of run() cannot be sent: ")
        failed = getattr(result, "run_function_failed", False)
        response.head += b"x-ms-run-function-failed: %s\r\nx-ms-run-fn-exec-ms: %.3f\r\n" % (
            b"True" if failed else b"False",
            spent_ms,
        )
        return response

    def _run_failed(self, error: BaseException, words: str = "run() failed: ") -> Response:
        self._slot[telemetry.RUN_FAILURES] += 1
        line = faults.failing_line(error, self._config.source_dir)
        if self._run.takes_schema and not self._run.reached(error) and words.startswith("run()"):
            sys.stderr.write(f"The input does not fit the input_schema: {line}\n")
            return plain(400, f"The input does not fit what run() takes: {line}")
        sys.stderr.write(f"{words}{line}\n{faults.user_traceback(error)}")
        sys.stderr.flush()
        return plain(500, words + line, b"x-ms-run-function-failed: True\r\n")

    # -- headers of every answer

    def _with_headers(self, head: Head, response: Response) -> Response:
        self._served += 1
        given = head.headers
        number = b"%012x" % self._served
        ids = self._ids.encode("ascii")
        unique = b"%s-%s-4%s-a%s-%s" % (ids[:8], ids[8:12], ids[12:15], ids[15:18], number)
        request_id = _echoed(given.get(b"x-ms-request-id")) or _echoed(given.get(b"x-request-id")) or unique
        lines = [
            response.head,
            b"date: ",
            self._now(),
            b"\r\nx-ms-request-id: ",
            request_id,
            b"\r\nx-request-id: ",
            _echoed(given.get(b"x-request-id")) or request_id,
            b"\r\nTraceId: ",
            ids[:20] + number,
            b"\r\n",
        ]
        client_id = _echoed(given.get(b"x-ms-client-request-id"))
        if client_id:
            lines += [b"x-ms-client-request-id: ", client_id, b"\r\n"]
        origin = given.get(b"origin")
        if origin is not None and self._allows(origin.decode("latin-1")):
            lines += _cors_lines(origin, head)
        response.head = b"".join(lines)
        return response

    def _now(self) -> bytes:
        now = int(time.time())
        if now != self._date_s:
            self._date_s = now
            self._date = formatdate(now, usegmt=True).encode("ascii")
        return self._date


def _echoed(value: Optional[bytes]) -> bytes:
    """An id that the client gave, when it is short and plain enough to be sent back."""
    if value and len(value) <= _MAX_ID_BYTES and all(32 < byte < 127 for byte in value):
        return value
    return b""


def _challenge(status: int) -> bytes:
    return b'www-authenticate: Bearer realm="score"\r\n' if status == HTTPStatus.UNAUTHORIZED else b""


def _cors_lines(origin: bytes, head: Head) -> List[bytes]:
    lines = [b"access-control-allow-origin: ", origin, b"\r\nvary: Origin\r\n"]
    if head.method == "OPTIONS":
        wanted = head.headers.get(b"access-control-request-headers", b"authorization, content-type")
        lines += [
            b"access-control-allow-methods: ",
            _METHODS,
            b"\r\naccess-control-allow-headers: ",
            wanted,
            b"\r\n",
        ]
    else:
        lines.append(b"access-control-expose-headers: x-ms-request-id, x-ms-run-function-failed\r\n")
    return lines

"""The strict HTTP/1.1 reader: what it takes, what it refuses, and that h11 reads the same."""

from __future__ import annotations

import contextlib

import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelyard.scoring.http1 import MAX_HEAD_BYTES, Refused, Request, RequestReader

LIMIT = 5000


def read(data: bytes, step: int = 0) -> list[Request]:
    """All requests of `data`, fed in pieces of `step` bytes."""
    reader = RequestReader(LIMIT)
    found = []
    for i in range(0, len(data), step or len(data) or 1):
        reader.received += data[i : i + (step or len(data))]
        while True:
            request = reader.next()
            if request is None:
                break
            found.append(request)
    return found


def status_of(data: bytes) -> int:
    with pytest.raises(Refused) as refused:
        read(data)
    return refused.value.status


def test_a_body_with_a_length_is_read() -> None:
    (request,) = read(b"POST /score?a=1 HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi")
    assert (request.head.method, request.head.path, request.head.query) == ("POST", "/score", "a=1")
    assert request.body == b"hi"
    assert request.head.keep_alive


def test_a_chunked_body_with_extension_and_trailers_is_read() -> None:
    data = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n2\r\nde\r\n0\r\nT: v\r\n\r\n"
    for step in range(1, len(data)):
        (request,) = read(data, step)
        assert request.body == b"abcde"


def test_pipelined_requests_come_in_order() -> None:
    data = b"".join(b"POST /%d HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n%d" % (i, i) for i in range(5))
    for step in (1, 7, len(data)):
        assert [(r.head.path, r.body) for r in read(data, step)] == [(f"/{i}", b"%d" % i) for i in range(5)]


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1, 1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5001\r\n\r\n", 413),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501),
        (b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\nab\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffff\r\n", 413),
        (b"POST / HTTP/1.1\r\nHost: x\r\nExpect: tea\r\n\r\n", 417),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost : x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\nA: b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\rA: b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: \x00\r\n\r\n", 400),
        (b"GET / HTTP/1.1\nHost: x\n\n", 400),
        (b"GET / HTTP/2.0\r\nHost: x\r\n\r\n", 505),
        (b"GET /\r\n\r\n", 400),
        (b"GET  / HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET http://x/ HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 101 + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"b" * MAX_HEAD_BYTES, 431),
        (b"\x16\x03\x01\x02\x00\x01\x00\n\n", 400),
    ],
)
def test_what_smuggling_lives_on_is_refused(lines: bytes, status: int) -> None:
    assert status_of(lines) == status


def test_http_1_0_closes_unless_asked_to_keep() -> None:
    assert not read(b"GET / HTTP/1.0\r\n\r\n")[0].head.keep_alive
    assert read(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")[0].head.keep_alive
    assert not read(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Close\r\n\r\n")[0].head.keep_alive


# Pieces from which requests that are nearly right are put together.
LINES = st.sampled_from(
    [
        b"Host: x",
        b"Content-Length: 3",
        b"Content-Length: 0",
        b"Transfer-Encoding: chunked",
        b"A: b",
        b"a:\tb \t",
        b"Expect: 100-continue",
        b" folded",
        b"Connection: close",
        b"X-\xff: 1",
        b"B: \xe9",
        b": c",
        b"Content-Length:03",
    ]
)
STARTS = st.sampled_from(
    [b"POST /score HTTP/1.1", b"GET /?q=%20 HTTP/1.1", b"PUT * HTTP/1.1", b"GET / HTTP/1.0"]
)
BODIES = st.sampled_from(
    [b"", b"abc", b"3\r\nabc\r\n0\r\n\r\n", b"3;x=y\r\nabc\r\n0\r\nT: v\r\n\r\n", b"0\r\n\r\n"]
)


def with_h11(data: bytes) -> tuple[bytes, bytes, dict[bytes, bytes], bytes]:
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD_BYTES)
    connection.receive_data(data)
    head = connection.next_event()
    assert isinstance(head, h11.Request)
    headers: dict[bytes, bytes] = {}
    for name, value in head.headers:
        headers[name] = headers[name] + b", " + value if name in headers else value
    body = b""
    while True:
        event = connection.next_event()
        if isinstance(event, h11.Data):
            body += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage):
            return head.method, head.target, headers, body
        else:
            raise AssertionError(event)


@settings(max_examples=400)
@given(
    start=STARTS,
    lines=st.lists(LINES, max_size=5),
    end=st.sampled_from([b"\r\n", b"\r\n", b"\r\n", b"\n"]),
    body=BODIES,
    noise=st.lists(st.tuples(st.integers(0, 200), st.binary(max_size=2)), max_size=2),
    step=st.integers(1, 40),
)
def test_whatever_is_read_h11_reads_the_same(
    start: bytes, lines: list[bytes], end: bytes, body: bytes, noise: list[tuple[int, bytes]], step: int
) -> None:
    data = end.join([start, *lines, b"", b""]) + body
    for position, piece in noise:
        data = data[:position] + piece + data[position + len(piece) :]
    try:
        requests = read(data, step)
    except Refused:
        return
    if not requests:
        return
    ours = requests[0]
    target = ours.head.path + ("?" + ours.head.query if ours.head.query else "")
    method, theirs, headers, their_body = with_h11(data)
    assert ours.head.method.encode() == method
    assert target.encode() == theirs.rstrip(b"?") or not ours.head.query
    assert ours.head.headers == headers
    assert ours.body == their_body


@settings(max_examples=300)
@given(data=st.binary(max_size=400), step=st.integers(1, 50))
def test_noise_is_refused_or_waited_on_but_never_breaks_the_reader(data: bytes, step: int) -> None:
    with contextlib.suppress(Refused):  # anything else would end the replica's loop
        read(data, step)


@settings(max_examples=60)
@given(
    bodies=st.lists(st.binary(max_size=300), min_size=1, max_size=4), step=st.integers(1, 200), data=st.data()
)
def test_any_body_comes_through_in_either_coding(bodies: list[bytes], step: int, data: st.DataObject) -> None:
    sent = b""
    for body in bodies:
        if data.draw(st.booleans()):
            sent += b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        else:
            sent += b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
            cut = data.draw(st.integers(0, len(body)))
            for piece in (body[:cut], body[cut:]):
                if piece:
                    sent += b"%x\r\n" % len(piece) + piece + b"\r\n"
            sent += b"0\r\n\r\n"
    assert [r.body for r in read(sent, step)] == bodies

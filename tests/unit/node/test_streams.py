"""Growing files and the streams they feed, with the yard's offsets moving in every way they may."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelyard.node.link import Away, Link
from modelyard.node.streams import Stream

KEY = "runs/r/logs/a.log"
ROUTE = f"/api/v1/workspaces/ws/{KEY}"


@pytest.fixture
def link(small_yard):
    link = Link(small_yard.home, "token")
    yield link
    link.close()


def drain(stream, link):
    while stream.changed and stream.pump(link):
        pass


def test_a_chunk_whose_answer_was_lost_counts_once(small_yard, link, tmp_path):
    file = tmp_path / "a.log"
    file.write_bytes(b"one two")
    stream = Stream(file, ROUTE, {}, whole_lines=False)
    drain(stream, link)
    stream.held = 3  # as if the answer to the last chunk had not come
    drain(stream, link)
    assert small_yard.streams[KEY] == b"one two"


def test_a_yard_that_holds_less_than_thought_says_so_and_gets_it(small_yard, link, tmp_path):
    file = tmp_path / "a.log"
    file.write_bytes(b"one two")
    stream = Stream(file, ROUTE, {}, whole_lines=False)
    drain(stream, link)
    small_yard.streams[KEY] = b"one"  # a yard restored from a copy
    file.write_bytes(b"one two three")
    drain(stream, link)
    assert small_yard.streams[KEY] == b"one two three"


def test_only_whole_lines_of_a_journal_are_sent(small_yard, link, tmp_path):
    file = tmp_path / "r.jsonl"
    file.write_bytes(b'{"v":1}\n{"v":')
    stream = Stream(file, ROUTE, {}, whole_lines=True)
    drain(stream, link)
    assert small_yard.streams[KEY] == b'{"v":1}\n'
    with file.open("ab") as more:
        more.write(b"2}\n")
    drain(stream, link)
    assert small_yard.streams[KEY] == b'{"v":1}\n{"v":2}\n'


def test_a_line_longer_than_a_chunk_is_sent_whole(small_yard, link, tmp_path):
    file = tmp_path / "r.jsonl"
    content = b'{"v":"' + b"x" * 3_000_000 + b'"}\n{"v":1}\n'
    file.write_bytes(content)
    stream = Stream(file, ROUTE, {}, whole_lines=True)
    drain(stream, link)
    assert small_yard.streams[KEY] == content


def test_a_yard_that_is_away_leaves_the_stream_as_it_was(small_yard, link, tmp_path):
    file = tmp_path / "a.log"
    file.write_bytes(b"one")
    stream = Stream(file, ROUTE, {}, whole_lines=False)
    small_yard.away = True
    with pytest.raises(Away):
        stream.pump(link)
    small_yard.away = False
    drain(stream, link)
    assert small_yard.streams[KEY] == b"one"


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(["write", "pump", "away", "restart"]), max_size=25))
def test_whatever_happens_the_yard_holds_a_prefix_and_in_the_end_all(small_yard, link, tmp_path, steps):
    file = tmp_path / "a.log"
    file.write_bytes(b"")
    small_yard.streams.clear()
    written = b""
    stream = Stream(file, ROUTE, {}, whole_lines=False)
    for number, step in enumerate(steps):
        if step == "write":
            written += b"%d " % number
            file.write_bytes(written)
        elif step == "restart":
            stream = Stream(file, ROUTE, {}, whole_lines=False, held=None)
        else:
            small_yard.away = step == "away"
            try:
                stream.pump(link)
            except Away:
                pass
            small_yard.away = False
        assert written.startswith(small_yard.streams.get(KEY, b""))
    drain(stream, link)
    assert small_yard.streams.get(KEY, b"") == written

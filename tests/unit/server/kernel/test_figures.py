"""What Prometheus reads."""

from __future__ import annotations

import re
import urllib.error
import urllib.request
from typing import Any

from modelyard.server.kernel.figures import Figure, text

LINE = re.compile(r'^[a-z_]+(\{[a-z]+="[^"\n]*"(,[a-z]+="[^"\n]*")*\})? -?[0-9.e+]+$')


def read(server: Any) -> str:
    with urllib.request.urlopen(server.url + "/metrics", timeout=20) as answer:
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        return answer.read().decode()


def test_every_line_is_a_figure_or_tells_of_one(server: Any) -> None:
    names = set()
    for line in read(server).splitlines():
        if line.startswith("# TYPE "):
            names.add(line.split()[2])
        elif not line.startswith("# HELP "):
            assert LINE.match(line), line
            assert re.split(r"[ {]", line)[0] in names
    assert {"modelyard_info", "modelyard_compute_queued", "modelyard_loop_rounds_total"} <= names


def test_requests_are_counted_by_method_and_status(server: Any) -> None:
    for path in ("/health", "/health", "/nowhere"):
        try:
            urllib.request.urlopen(server.url + path, timeout=20).close()
        except urllib.error.HTTPError as error:
            error.close()
    shown = read(server)
    assert 'modelyard_http_requests_total{method="GET",status="200"} 2\n' in shown
    assert 'modelyard_http_requests_total{method="GET",status="404"} 1\n' in shown
    assert "modelyard_http_requests_in_progress 1\n" in shown  # this one


def test_a_method_of_the_callers_invention_makes_no_label(server: Any) -> None:
    for method in ("BREW", "WHEN"):
        request = urllib.request.Request(server.url + "/health", method=method)
        try:
            urllib.request.urlopen(request, timeout=20).close()
        except urllib.error.HTTPError as error:
            error.close()
    assert "BREW" not in read(server)


def test_labels_are_escaped() -> None:
    figure = Figure("x", "X.", "gauge", [({"a": 'say "\\"\n'}, 1)])
    assert text([figure]).splitlines()[2] == 'x{a="say \\"\\\\\\"\\n"} 1'

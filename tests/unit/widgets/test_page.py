"""What the view of a run looks like: pure functions of a look."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from modelyard.widgets import page
from modelyard.widgets.chart import Series, draw, reduced
from modelyard.widgets.look import Look, as_on_a_terminal
from modelyard.wire.runs import RunError, RunInfo, RunStatus

EVIL = "<img src=x onerror=alert(1)>\"'&</pre></style><script>alert(2)</script>"


def info(**given: object) -> RunInfo:
    made = RunInfo(
        id="r_1", number=1, experiment="e", experiment_id="e", type="", status=RunStatus.RUNNING, status_reason="",
        display_name="one", description="", parent_id=None, root_id="r_1", tags={}, properties={}, created_at=1.0,
        version=1, started_at=2.0,
    )  # fmt: skip
    return replace(made, **given)  # type: ignore[arg-type]  # a test's own


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.add(tag)
        self.attributes.update(name for name, _ in attrs)


def test_whatever_runs_say_is_text() -> None:
    error = RunError("UserError", EVIL, EVIL, EVIL)
    run = info(
        display_name=EVIL, experiment=EVIL, status_reason=EVIL, error=error, warnings=[EVIL], child_count=1,
        tags={EVIL: EVIL},
    )  # fmt: skip
    look = Look(run, [Series(EVIL, [(0, 1), (1, 2)])], {EVIL: EVIL}, {EVIL: EVIL}, [run])
    html = "".join(
        [
            page.head(look, "javascript:alert(1)", EVIL),
            page.charts(look),
            page.logs(look, 1),
            page.children(look),
        ]
    )
    tags = Tags()
    tags.feed(html)
    assert not tags.found & {"script", "img", "a", "iframe", "object"}
    assert not {name for name in tags.attributes if name.startswith("on")}
    assert "javascript:" not in html


def test_a_link_is_made_of_an_address_only() -> None:
    look = Look(info(), [], {}, {}, [])
    assert '<a href="http://127.0.0.1/x?a&amp;b"' in page.head(look, "http://127.0.0.1/x?a&b")


@pytest.mark.parametrize(
    "points",
    [
        [(0, 1.0)],
        [(0, 1.0), (1, 1.0)],
        [(0, float("nan")), (1, float("inf"))],
        [(0, 1e308), (1, -1e308)],
        [(0, 5e-324), (1, 0.0)],
        [(i, i % 7) for i in range(100_000)],
    ],
)
def test_any_series_is_a_chart_of_bounded_size(points: list[tuple[float, float]]) -> None:
    drawn = draw(Series("loss", points))
    ET.fromstring(drawn)
    assert "nan" not in drawn
    assert len(drawn) < 8_000


def test_a_chart_of_many_points_keeps_the_peaks() -> None:
    points = [(float(i), 0.0) for i in range(10_000)]
    points[4321] = (4321.0, 9.0)
    assert (4321.0, 9.0) in reduced(points)


def test_a_log_reads_as_on_a_terminal() -> None:
    assert as_on_a_terminal("\x1b[31mred\x1b[0m\n 10%\r 50%\r100%\r\nend") == "red\n100%\nend"


def test_the_scripts_own_log_is_the_first_tab() -> None:
    look = Look(info(), [], {}, {"azureml-logs/b.txt": "b", "user_logs/std_log.txt": "u"}, [])
    html = page.logs(look, 3)
    assert html.index("user_logs/std_log.txt") < html.index("azureml-logs/b.txt")
    assert 'id="my-tab-3-0" checked' in html

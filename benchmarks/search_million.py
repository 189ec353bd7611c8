"""A page of search with filter and sort at a million runs, the first and the thousandth, and what it costs beside 10,000 runs.

On SQLite, and on PostgreSQL where it is installed. Over HTTP, one connection, pages of 100, warm; what the first search
after a start costs is told beside it. Making the yards takes most of the time; `--home DIR` keeps and reuses that of SQLite.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent)]

from search import Server, populate, yard  # noqa: E402  # found by the line above
from services import SERVICES  # noqa: E402

MANY, FEW = 1_000_000, 10_000
PAGE = 100
ROUNDS = 200
P99_MS = 100.0
GROWTH = 1.5
PATH = "/api/v1/workspaces/default/runs/search"
ASKED: dict[str, object] = {
    "filter": "metrics.acc > 0.5 and params.lr in ('0.1', '0.01', '0.001')",
    "order_by": ["metrics.f1 DESC"],
    "limit": PAGE,
}

Times = dict[str, float]


def measured(server: Server, pages: int) -> Times:
    first_ms = server.timed_ms(PATH, ASKED)
    after = ""
    left = (pages - 1) * PAGE
    while left:  # a cursor is good for pages of any size
        size = min(left, 1000)
        after = str(server.post(PATH, {**ASKED, "after": after, "limit": size, "metrics": []})["next"])
        left -= size
    first = [server.timed_ms(PATH, ASKED) for _ in range(ROUNDS)]
    last = [server.timed_ms(PATH, {**ASKED, "after": after}) for _ in range(ROUNDS)]
    return {
        "the first search, s": round(first_ms / 1000, 2),
        "first page p50, ms": round(statistics.median(first), 1),
        "first page p99, ms": round(_p99(first), 1),
        f"page {pages} p50, ms": round(statistics.median(last), 1),
        f"page {pages} p99, ms": round(_p99(last), 1),
    }


def _p99(times: list[float]) -> float:
    return statistics.quantiles(times, n=100)[98]


def compared(home: Path, few: str = "", many: str = "") -> tuple[dict[str, Times], float, float]:
    """The times by number of runs, growth of a page's cost, and the worst p99 of a million."""
    found: dict[str, Times] = {}
    for name, runs, database, pages in (("10k", FEW, few, 10), ("1M", MANY, many, 1000)):
        directory = home / name
        if not (directory / "yard.db").exists():
            populate(directory, "--runs", str(runs), *(["--database", database] if database else []))
        with yard(directory, database) as server:
            found[name] = measured(server, pages)
    growth = found["1M"]["first page p50, ms"] / found["10k"]["first page p50, ms"]
    return found, growth, max(v for k, v in found["1M"].items() if "p99" in k)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--home", type=Path, help="where the yards of SQLite are kept")
    parser.add_argument("--only", choices=("sqlite", "postgresql"))
    given = parser.parse_args()
    begun = time.monotonic()
    against: dict[str, dict[str, Times]] = {}
    growths, worst = [], []
    with tempfile.TemporaryDirectory(prefix="my-bench-") as directory:
        if given.only != "postgresql":
            against["sqlite"], growth, p99 = compared(given.home or Path(directory) / "sqlite")
            growths.append(growth)
            worst.append(p99)
        kind = SERVICES["postgresql"]
        if given.only != "sqlite" and kind.installed():
            with kind.start() as few, kind.start() as many:
                against["postgresql"], growth, p99 = compared(Path(directory) / "postgresql", few, many)
            growths.append(growth)
            worst.append(p99)
    holds = max(growths) <= GROWTH and max(worst) < P99_MS
    print(
        json.dumps(
            {
                "claim": "search_million",
                "value": round(max(growths), 2),
                "unit": "cost of a page of search at a million runs, of that at 10,000",
                "bar": f"<= {GROWTH:g}, and p99 < {P99_MS:g} ms",
                "holds": holds,
                "against": {**against, "seconds": round(time.monotonic() - begun)},
                "versions": {"modelyard": version("modelyard"), "python": platform.python_version()},
            }
        )
    )
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())

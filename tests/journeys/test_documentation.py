"""Every example in README.md and docs/ is run, in order, in an empty directory per page.

A fenced block with a title is written to that file; `bash` and `python` blocks without one are run, the `python`
blocks of a page in one process, as the cells of a notebook; other languages are text. A block right after a line `<!-- not run: REASON -->` is passed over.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
_FENCE = re.compile(r"^```(\w*)([^\n`]*)\n(.*?)^```[ \t]*$", re.MULTILINE | re.DOTALL)
_TITLE = re.compile(r'title="([^"]+)"')
_NOT_RUN = re.compile(r"<!-- not run: (\S.*?) -->\s*\Z")
_BLOCK_TIMEOUT_S = 240


@dataclass(frozen=True)
class Block:
    language: str
    title: str
    text: str
    line: int
    not_run: str


def blocks(page: Path) -> list[Block]:
    text = page.read_text("utf-8")
    found = []
    for match in _FENCE.finditer(text):
        title = _TITLE.search(match[2])
        reason = _NOT_RUN.search(text[: match.start()])
        line = text.count("\n", 0, match.start()) + 1
        found.append(Block(match[1], title[1] if title else "", match[3], line, reason[1] if reason else ""))
    return found


def runnable(page: Path) -> list[Block]:
    return [b for b in blocks(page) if not b.not_run and (b.title or b.language in ("bash", "python"))]


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


_CELLS = """
import json, sys, traceback
scope = {"__name__": "__main__"}
for line in sys.stdin:
    block = json.loads(line)
    try:
        exec(compile(block["text"], block["where"], "exec"), scope)
        failed = ""
    except BaseException:
        failed = traceback.format_exc()
    print("\\n" + json.dumps({"failed": failed}), flush=True)
"""


class Notebook:
    """A Python that runs the blocks of one page after each other."""

    def __init__(self, place: Path, environ: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _CELLS],
            cwd=place,
            env=environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, text: str, where: str) -> str:
        """Empty, or how the block failed."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"text": text, "where": where}) + "\n")
        self._process.stdin.flush()
        said = []
        for line in self._process.stdout:
            if line.startswith('{"failed": '):
                failed: str = json.loads(line)["failed"]
                return failed and "".join(said) + failed
            said.append(line)
        return "the process ended\n" + "".join(said)

    def close(self) -> None:
        self._process.communicate(timeout=60)


def run_shell(text: str, place: Path, environ: dict[str, str]) -> str:
    """Empty, or how the block failed."""
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", text],
        cwd=place,
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_BLOCK_TIMEOUT_S,
        check=False,
    )
    return f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}" if done.returncode else ""


@pytest.mark.timeout(900)
@pytest.mark.parametrize("page", [p for p in PAGES if any(not b.title for b in runnable(p))], ids=name)
def test_the_examples_of_a_page_run(page: Path, yard, tmp_path: Path) -> None:
    place = tmp_path / "page"
    place.mkdir()
    environ = {
        **yard.env,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONDONTWRITEBYTECODE": "",
        "PYTHONPATH": str(ROOT / "azureml"),  # as where modelyard-azureml is installed
    }
    notebook = Notebook(place, environ)
    try:
        for block in runnable(page):
            where = f"{name(page)}:{block.line}"
            if block.title:
                target = place / block.title
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(block.text, "utf-8")
                continue
            failed = (
                run_shell(block.text, place, environ)
                if block.language == "bash"
                else notebook.run(block.text, where)
            )
            assert not failed, f"{where}: {failed}"
    finally:
        notebook.close()


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_the_links_of_a_page_lead_somewhere(page: Path) -> None:
    text = re.sub(_FENCE, "", page.read_text("utf-8"))
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
        if "://" not in target and not target.startswith("mailto:"):
            assert (page.parent / target).exists(), f"{name(page)} links to {target}"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_no_fence_is_left_open(page: Path) -> None:
    assert sum(line.startswith("```") for line in page.read_text("utf-8").splitlines()) % 2 == 0

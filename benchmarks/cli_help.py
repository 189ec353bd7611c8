"""`modelyard --help` over a bare Python, byte-compiled; processes in turn, the least of each counts."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from importlib.metadata import version

RUNS = 15
BAR_MS = 150.0


def milliseconds(command: list[str], environ: dict[str, str]) -> float:
    begin = time.perf_counter()
    subprocess.run(command, env=environ, check=True, stdout=subprocess.DEVNULL)
    return (time.perf_counter() - begin) * 1000


def main() -> int:
    environ = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    bare, ours = [sys.executable, "-c", "pass"], [sys.executable, "-m", "modelyard", "--help"]
    milliseconds(ours, environ)  # makes the byte code
    pairs = [(milliseconds(bare, environ), milliseconds(ours, environ)) for _ in range(RUNS)]
    least_bare, least_ours = min(b for b, _ in pairs), min(o for _, o in pairs)
    value = least_ours - least_bare
    print(
        json.dumps(
            {
                "claim": "cli_help",
                "value": round(value, 1),
                "unit": "ms over bare python",
                "bar": f"< {BAR_MS:g}",
                "holds": value < BAR_MS,
                "against": {"bare python": round(least_bare, 1), "whole command": round(least_ours, 1)},
                "versions": {
                    "modelyard": version("modelyard"),
                    "click": version("click"),
                    "python": platform.python_version(),
                },
            }
        )
    )
    return 0 if value < BAR_MS else 1


if __name__ == "__main__":
    sys.exit(main())

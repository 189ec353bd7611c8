"""What `import modelyard` and `from modelyard import Run` cost over bare Python, byte-compiled. Bars: 30 and 100 ms."""

from __future__ import annotations

import compileall
import json
import os
import platform
import subprocess
import sys
import time

import modelyard

_ROUNDS = 15
_CLAIMS = [
    ("import_modelyard", "import modelyard", 30.0),
    ("import_run", "from modelyard import Run", 100.0),
]


def main() -> None:
    compileall.compile_dir(os.path.dirname(modelyard.__file__), quiet=1)
    codes = ["pass", *(code for _, code, _ in _CLAIMS)]
    best = dict.fromkeys(codes, float("inf"))
    for _ in range(_ROUNDS):  # taken in turn, so that all three see the same machine
        for code in codes:
            start = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], check=True)
            best[code] = min(best[code], time.perf_counter() - start)
    for claim, code, bar in _CLAIMS:
        value = (best[code] - best["pass"]) * 1000
        print(
            json.dumps(
                {
                    "claim": claim,
                    "value": round(value, 1),
                    "unit": "ms over bare Python",
                    "bar": bar,
                    "holds": value < bar,
                    "against": {"bare_python_ms": round(best["pass"] * 1000, 1)},
                    "versions": {"python": platform.python_version(), "modelyard": modelyard.__version__},
                }
            ),
            flush=True,
        )


if __name__ == "__main__":
    main()

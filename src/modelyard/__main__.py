"""The command `modelyard`, also as `python -m modelyard`: says what is missing where only the SDK can run."""

from __future__ import annotations

import sys


def main() -> int:
    if sys.version_info < (3, 11):
        return _only_the_sdk("the modelyard command needs Python 3.11 or newer")
    try:
        from modelyard.cli.main import main as command  # not at the top: it can't be read by an older Python
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("modelyard"):
            raise
        return _only_the_sdk(
            f"Python package {error.name!r} is missing, without which there is no command: pip install modelyard"
        )
    return command()


def _only_the_sdk(what: str) -> int:
    sys.stderr.write("error: " + what + ". The SDK works here as it is (import modelyard).\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())

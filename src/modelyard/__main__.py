"""`python -m modelyard` is the command `modelyard`."""

from __future__ import annotations

import sys

if sys.version_info < (3, 11):
    sys.exit("error: the modelyard command needs Python 3.11; the SDK alone works here (import modelyard)")

from modelyard.cli.main import main

sys.exit(main())

"""What `modelyard up --detach` starts: flags as JSON on stdin, `--ready-fd N` for the answer."""

from __future__ import annotations

import gc
import sys

gc.disable()  # a tenth of the start-up time; on again once the yard listens

from modelyard.server.serve.process import main  # noqa: E402  # see above

sys.exit(main())

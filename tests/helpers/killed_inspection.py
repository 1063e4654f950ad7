"""`inspect` FOLDER OUT BUNDLE, which is killed outright at its first video."""

import os
import signal
import sys
from pathlib import Path
from typing import Any

from urbanpipe.archive.inspect import inspect
from urbanpipe.inspection.inspector import Inspector


def _dies(*_: Any, **__: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    Inspector.inspect = _dies  # type: ignore[method-assign, assignment]
    inspect([Path(sys.argv[1])], out=Path(sys.argv[2]), bundle=Path(sys.argv[3]))

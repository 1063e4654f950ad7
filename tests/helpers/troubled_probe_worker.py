"""The probing process, but files whose name says so hang it, crash it or make it stumble."""

import os
import signal
import time
from typing import Any

from urbanpipe.catalog import probe_worker

_answer = probe_worker.answer


def _troubled(path: str) -> dict[str, Any]:
    name = os.path.basename(path)  # noqa: PTH119
    with open(os.environ["PROBED"], "a") as log:  # noqa: PTH123
        log.write(f"{name}\n")
    if name.startswith("hang"):
        time.sleep(600)
    if name.startswith("crash"):
        os.kill(os.getpid(), signal.SIGSEGV)
    if name.startswith("chatty"):
        print("noise on standard output")
    return _answer(path)


if __name__ == "__main__":
    probe_worker.answer = _troubled
    probe_worker.main()

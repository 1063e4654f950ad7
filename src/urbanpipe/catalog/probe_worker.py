"""Worker process that probes videos: it reads paths and writes results, one JSON line each.

`probing.py` starts it as a separate process, so that a video that crashes or hangs the decoder affects nothing else.
"""

import json
import os
import signal
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from urbanpipe.errors import VideoError
from urbanpipe.video.probe import probe


def answer(path: str) -> dict[str, Any]:
    """Return the properties of a video, or under `reason` why it cannot be used."""
    try:
        return asdict(probe(Path(path)))
    except VideoError as error:
        reason = error.reason
    except OSError as error:
        reason = error.strerror or str(error)
    except Exception as error:  # one video must not stop the scan: its row reports the error
        reason = f"the probe failed: {type(error).__name__}: {error}"
    return {"reason": " ".join(reason.split()) or "unknown"}


def main() -> None:
    """Answer until the input ends; FFmpeg prints to standard error, not between the answers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="ascii") as answers:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        print("ready", file=answers, flush=True)
        for line in sys.stdin:
            print(json.dumps(answer(json.loads(line))), file=answers, flush=True)


if __name__ == "__main__":
    main()

"""A process that probes videos: a path comes in as a line of JSON, what the probe found goes out as one.

It is started by `probing.py` and stands alone so that a video that crashes or hangs the decoder harms nothing else.
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
    """What the probe says of a video: its facts, or under `reason` why it cannot be used."""
    try:
        return asdict(probe(Path(path)))
    except VideoError as error:
        reason = error.reason
    except OSError as error:
        reason = error.strerror or str(error)
    except Exception as error:  # one video must not end the job: its row says what went wrong
        reason = f"the probe failed: {type(error).__name__}: {error}"
    return {"reason": " ".join(reason.split()) or "unknown"}


def main() -> None:
    """Answer until the input ends. Whatever FFmpeg prints goes to standard error, not between the answers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="ascii") as answers:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        print("ready", file=answers, flush=True)
        for line in sys.stdin:
            print(json.dumps(answer(json.loads(line))), file=answers, flush=True)


if __name__ == "__main__":
    main()

"""The command line, which is killed outright when a function of the training loop is called for the n-th time."""

import os
import signal
from operator import attrgetter
from typing import Any

from urbanpipe.cli.main import main
from urbanpipe.training import loop


def _arm(name: str, call: int) -> None:
    """Let the `call`-th call of `loop.name` be the end of this process; `name` may have a class before a dot."""
    owner_name, _, function = name.rpartition(".")
    owner = attrgetter(owner_name)(loop) if owner_name else loop
    real, calls = getattr(owner, function), []

    def dies(*args: Any, **options: Any) -> Any:
        calls.append(1)
        if len(calls) == call:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args, **options)

    setattr(owner, function, dies)


if __name__ == "__main__":
    name, call = os.environ["KILLED_AT"].split(":")
    _arm(name, int(call))
    main()

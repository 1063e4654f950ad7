"""The decoder process, but files whose name says so hang it, crash it or make it stumble."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from urbanpipe.video.decoder_worker import Answers, DecoderWorker, main

NAME = "helpers.troubled_decoder"
FOLDER = Path(__file__).parents[1]


def trouble(path: Path) -> None:
    if log := os.environ.get("PROBED"):
        with Path(log).open("a") as file:
            file.write(f"{path.name}\n")
    if path.name.startswith("hang"):
        time.sleep(600)
    if path.name.startswith("crash"):
        os.kill(os.getpid(), signal.SIGSEGV)
    if path.name.startswith("raise"):
        raise IndexError("no such thing")
    if path.name.startswith("chatty"):
        print("noise on standard output")
        os.write(1, b"noise of FFmpeg")


def troubled(answers: Callable[..., Answers]) -> Callable[..., Answers]:
    def request(path: Path, *arguments: Any) -> Answers:
        trouble(path)
        for count, value in enumerate(answers(path, *arguments)):
            if count == 2 and path.name.startswith("late-"):  # after the size and one picture
                trouble(path.with_name(path.name.removeprefix("late-")))
            yield value

    return request


if __name__ == "__main__":
    worker = DecoderWorker()
    worker.requests = {name: troubled(answers) for name, answers in worker.requests.items()}
    main(worker)

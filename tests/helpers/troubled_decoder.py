"""The decoder process, but files whose name says so hang it, crash it or make it stumble."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from urbanpipe.video import decoder_process, isolated
from urbanpipe.video.decoder_worker import Answers, DecoderWorker, main
from urbanpipe.video.decoders import Decoders

NAME = "helpers.troubled_decoder"
FOLDER = Path(__file__).parents[1]


TROUBLES = {
    "crash.mp4": "reading it crashed the decoder (SIGSEGV)",
    "hang.mp4": "reading it took more than 3 s",
    "raise.mp4": "reading it failed: IndexError: no such thing",
}
"""Why a file of each name cannot be read."""


@contextmanager
def troubled_decoders() -> Iterator[None]:
    """Read videos in decoder processes with trouble, and with little patience, while the block runs."""
    decoders = Decoders()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(isolated, "shared_decoders", decoders)
        patch.setattr(decoder_process, "WORKER", NAME)
        patch.setattr(decoder_process, "ANSWER_SECONDS", 3.0)
        patch.setenv("PYTHONPATH", str(FOLDER), prepend=os.pathsep)
        try:
            yield
        finally:
            decoders.close()


poisoned: list[Path] = []
"""Files after which any other file crashes the process, as after a decoder that wrote into foreign memory."""


def trouble(path: Path) -> None:
    if poisoned and path not in poisoned:
        os.kill(os.getpid(), signal.SIGSEGV)
    if path.name.startswith("poison"):
        poisoned.append(path)
    if log := os.environ.get("PROBED"):
        with Path(log).open("a", encoding="utf-8") as file:
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

"""Processes that start at once: forks of a process that has imported torch and the package, but has not used them."""

import os
import runpy
import sys
import tempfile
from collections.abc import Mapping, Sequence
from multiprocessing import get_all_start_methods, get_context
from pathlib import Path

_PRELOADED = [
    "urbanpipe.training.crossval",
    "urbanpipe.training.train",
    "urbanpipe.inference.predict",
    "urbanpipe.archive.inspect",
    "urbanpipe.inspection.inspector",
]
_CONTEXT = get_context("forkserver" if "forkserver" in get_all_start_methods() else None)
if "forkserver" in get_all_start_methods():  # not on Windows
    _CONTEXT.set_forkserver_preload(_PRELOADED)


class StartedProcess:
    """`python -m PROGRAM ARGUMENT...` in a process of its own, as `subprocess.Popen` with captured outputs.

    Args:
        program: name of the module.
        arguments: command-line arguments.
        cwd: working directory.
        env: further environment variables.
    """

    def __init__(
        self,
        program: str,
        arguments: Sequence[object],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self._outputs = [Path(tempfile.mkstemp(suffix=suffix)[1]) for suffix in (".out", ".err")]
        given = (program, [str(argument) for argument in arguments], cwd, dict(env or {}), self._outputs)
        self._process = _CONTEXT.Process(target=_run, args=given)
        self._process.start()

    def communicate(self, timeout: float) -> tuple[str, str]:
        """Wait for the end, and return what the process printed and its errors.

        Raises:
            TimeoutError: the process has not ended in time; it is killed.
        """
        self._process.join(timeout)
        if self._process.exitcode is None:
            self._process.kill()
            raise TimeoutError(f"the process has not ended in {timeout} seconds")
        printed, errors = (path.read_text(encoding="utf-8") for path in self._outputs)
        for path in self._outputs:
            path.unlink()
        return printed, errors

    def terminate(self) -> None:
        """Send SIGTERM."""
        self._process.terminate()

    @property
    def returncode(self) -> int | None:
        """The exit status; the negative number of the signal that killed the process; None while it runs."""
        return self._process.exitcode


def _run(program: str, arguments: list[str], cwd: Path | None, env: dict[str, str], outputs: list[Path]) -> None:
    for number, path in enumerate(outputs, start=1):
        os.dup2(os.open(path, os.O_WRONLY), number)
    os.environ.update(env)
    if cwd is not None:
        os.chdir(cwd)
    encoding = env.get("PYTHONIOENCODING", "utf-8")
    sys.stdout, sys.stderr = (os.fdopen(number, "w", encoding=encoding, buffering=1) for number in (1, 2))
    sys.argv = [program, *arguments]
    runpy.run_module(program, run_name="__main__", alter_sys=True)

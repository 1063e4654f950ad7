"""The `urbanpipe` command: collects the verbs and turns a user error into one line and exit status 2."""

import importlib
import os
import signal
import sys
from collections.abc import Sequence
from io import TextIOWrapper

import typer

from urbanpipe import __version__
from urbanpipe.cli import archive
from urbanpipe.cli.logs import show_logs
from urbanpipe.cli.output import complain
from urbanpipe.errors import UrbanpipeError

VERBS = (
    "demo",
    "simulate",
    "scan",
    "audit",
    "folds",
    "fit",
    "pretrain",
    "train",
    "crossval",
    "evaluate",
    "ensemble",
    "predict",
    "explain",
    "moments",
    "bundle",
    "inspect",
    "ocr",
    "review",
    "report",
    "export",
    "condition",
    "ablate",
    "reproduce",
    "recipes",
    "weights",
)

GROUPS = ("archive",)
"""Verbs with verbs of their own, which can all be run again."""

RESUMABLE = {
    "demo",
    "simulate",
    "scan",
    "fit",
    "pretrain",
    "train",
    "crossval",
    "predict",
    "inspect",
    "ocr",
    "ablate",
    "reproduce",
}

app = typer.Typer(
    name="urbanpipe",
    help="Recognise defects in sewer-pipe inspection videos, from video-level labels.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for verb in VERBS:
    app.command(verb)(importlib.import_module(f"urbanpipe.cli.{verb}").command)
app.add_typer(archive.app, name="archive")


def _version(wanted: bool) -> None:
    if wanted:
        print(f"urbanpipe {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    pass


def _stop_on_signals() -> None:
    """End on Ctrl-C, SIGTERM and SIGHUP with results kept and a line that says how to go on, without a traceback.

    Worker processes leave Ctrl-C to their parent. A signal that is ignored, as under `nohup`, stays ignored.
    """
    parent = os.getpid()

    def stop(number: int, _frame: object) -> None:
        if os.getpid() == parent:
            print(f"urbanpipe: {interrupted(sys.argv)}", file=sys.stderr)
            sys.exit(128 + number)
        if number != signal.SIGINT:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, stop)


def interrupted(arguments: Sequence[str]) -> str:
    """Return what to print when a command line is interrupted."""
    verb = next((argument for argument in arguments if argument in {*VERBS, *GROUPS}), "")
    if verb == "review":
        return "stopped; everything that was saved is kept"
    if verb in RESUMABLE or verb in GROUPS:
        return "interrupted; finished work is kept, rerun the same command to resume"
    return "interrupted; rerun the same command to start again"


def _show_every_name() -> None:
    """Escape what the encoding of the output cannot show, so that printing a name never fails."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def main() -> None:
    """Run the command line.

    Exit status: 0 success, 1 bug, 2 user error, 3 done except for inputs that could not be used, 128 + N ended by
    signal N.
    """
    # Spinning idle threads slow torch down on a shared machine.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    _show_every_name()
    _stop_on_signals()
    show_logs()
    try:
        app()
    except UrbanpipeError as error:
        complain(f"urbanpipe: {error}")
        sys.exit(2)
    except BrokenPipeError:  # the reader of the output has closed it, as in `urbanpipe audit ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)


if __name__ == "__main__":
    main()

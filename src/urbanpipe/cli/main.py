"""The `urbanpipe` command: collects the verbs and turns a user error into one line and exit status 2."""

import importlib
import os
import signal
import sys

import typer

from urbanpipe import __version__
from urbanpipe.cli.logs import show_logs
from urbanpipe.errors import UrbanpipeError

VERBS = (
    "demo",
    "simulate",
    "scan",
    "audit",
    "folds",
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
    "export",
    "condition",
    "ablate",
    "reproduce",
    "recipes",
)

app = typer.Typer(
    name="urbanpipe",
    help="Recognise defects in sewer-pipe inspection videos, from video-level labels.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for verb in VERBS:
    app.command(verb)(importlib.import_module(f"urbanpipe.cli.{verb}").command)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"urbanpipe {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    pass


def _stop_on_interrupt() -> None:
    """Print on Ctrl-C how to resume, instead of a traceback from every process.

    Worker processes leave that to their parent.
    """
    parent = os.getpid()

    def stop(*_: object) -> None:
        if os.getpid() == parent:
            print("urbanpipe: interrupted; finished work is kept, rerun the same command to resume", file=sys.stderr)
            sys.exit(130)

    signal.signal(signal.SIGINT, stop)


def main() -> None:
    """Run the command line.

    Exit status: 0 success, 1 bug, 2 user error, 3 done except for inputs that could not be used.
    """
    # Spinning idle threads slow torch down on a shared machine.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    _stop_on_interrupt()
    show_logs()
    try:
        app()
    except UrbanpipeError as error:
        print(f"urbanpipe: {error}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:  # the reader of the output has closed it, as in `urbanpipe audit ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)


if __name__ == "__main__":
    main()

"""The `urbanpipe` command: collects the verbs and turns a user's mistake into one line and exit status 2."""

import importlib
import os
import signal
import sys

import typer

from urbanpipe import __version__
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
    """On Ctrl-C say how to go on, instead of a traceback from every process; workers leave it to their parent."""
    parent = os.getpid()

    def stop(*_: object) -> None:
        if os.getpid() == parent:
            print("urbanpipe: interrupted; what is finished is kept, run the same command again", file=sys.stderr)
            sys.exit(130)

    signal.signal(signal.SIGINT, stop)


def main() -> None:
    """Run the command line.

    Exit status: 0 done, 1 a bug, 2 a mistake to mend, 3 done but some videos were bad.
    """
    # Waiting threads that spin are what makes torch slow on a machine that others use too.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    _stop_on_interrupt()
    try:
        app()
    except UrbanpipeError as error:
        print(f"urbanpipe: {error}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:  # the reader of our output has gone, as in `urbanpipe audit ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)


if __name__ == "__main__":
    main()

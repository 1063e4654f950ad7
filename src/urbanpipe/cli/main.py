"""The `urbanpipe` command: collects the verbs and turns a user error into one line and exit status 2."""

import importlib
import os
import signal
import sys
from collections.abc import Sequence
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, Any

import typer
import typer.core

from urbanpipe import __version__
from urbanpipe.cli import archive, cache, hub
from urbanpipe.cli.config import read_defaults
from urbanpipe.cli.logs import log_crash, show_logs
from urbanpipe.cli.output import complain
from urbanpipe.cli.verb import LogFile, Quiet, plain_paths, set_up_logs, verb
from urbanpipe.errors import UrbanpipeError
from urbanpipe.exit_signals import end_by_signal
from urbanpipe.platform_support import is_broken_pipe

VERBS = {
    "demo": "Run the whole pipeline on simulated videos.",
    "simulate": "Generate synthetic inspection videos with known labels.",
    "scan": "Create the catalog of a folder of videos.",
    "audit": "Count labels, and test whether names or sizes predict them.",
    "folds": "Split labelled videos into folds.",
    "fit": "Find the best model that a time budget allows.",
    "pretrain": "Pretrain a backbone on your own videos, without labels.",
    "train": "Train one model.",
    "crossval": "Train recipes on every fold, and make an ensemble.",
    "evaluate": "Print the AP per class and the mAP of predictions.",
    "ensemble": "Combine several runs into an ensemble.",
    "predict": "Rank the classes of every video.",
    "explain": "Show where and when a model detects a class.",
    "moments": "Find when each defect is visible.",
    "bundle": "Build the bundle that inspect runs.",
    "inspect": "Find defects in videos, for a person to review.",
    "ocr": "Read the text on the screen, as proposals to check.",
    "review": "Review proposals in a browser.",
    "report": "Write the record to hand in.",
    "export": "Export inspections for grading or other tools.",
    "condition": "Compute condition figures from a person's grades.",
    "ablate": "Measure what each technique contributes on your data.",
    "reproduce": "Train the models of a table or figure of the report.",
    "recipes": "List recipes, or print one to copy and change.",
    "weights": "List or save pretrained weights.",
    "doctor": "Check this installation and machine.",
}
"""What `--help` says about each verb, on a line of 80 characters."""

RESUMABLE_GROUPS = ("archive", "cache")
GROUPS = (*RESUMABLE_GROUPS, "hub")
"""Verbs with verbs of their own."""

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

EXTRA_TRAIN = ("tensorboard", "timm", "torch", "torchvision")
"""Modules that come with the extra `train`."""

SHARING = ("push", "pull")
"""Verbs of `hub` that may also be given after `bundle`, unless a folder has that name."""


class Commands(typer.core.TyperGroup):
    """All verbs; mistakes in a command line are told in our own words."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the verb and its arguments; `bundle push` and `bundle pull` are those of `hub`."""
        is_sharing = args[0] == "bundle" and args[1:2] and args[1] in SHARING and not Path(args[1]).exists()
        return super().resolve_command(ctx, ["hub", *args[1:]] if is_sharing else args)

    def invoke(self, ctx: Any) -> Any:
        """Run the verb; a wrong value is told without the words of pydantic, which typer checks values with."""
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            from urbanpipe.settings import plain_message

            error.message = plain_message(error.message)
            raise


app = typer.Typer(
    name="urbanpipe",
    cls=Commands,
    help="Recognise defects in sewer-pipe inspection videos, from video-level labels.",
    no_args_is_help=True,
    rich_markup_mode=None,  # plain help: rich takes as long to import as everything else
    pretty_exceptions_enable=False,
)
for name, summary in VERBS.items():
    app.command(name, short_help=summary)(verb(importlib.import_module(f"urbanpipe.cli.{name}").command))
app.add_typer(archive.app, name="archive", short_help="Inspect many videos on several machines.")
app.add_typer(cache.app, name="cache")
app.add_typer(hub.app, name="hub")


def _version(wanted: bool) -> None:
    if wanted:
        print(f"urbanpipe {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    ctx: typer.Context,
    version: Annotated[  # noqa: ARG001
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    quiet: Quiet = False,
    log_file: LogFile = None,
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Default options (TOML); default: urbanpipe.toml, if there.")
    ] = None,
) -> None:
    show_logs()
    set_up_logs(quiet, log_file)
    ctx.default_map = read_defaults(plain_paths(config), ctx)


def _stop_on_signals() -> None:
    """End on a signal with results kept and a line that says how to go on, without a traceback.

    The signals are Ctrl-C, SIGTERM, SIGHUP, and Ctrl-Break of Windows. Worker processes leave Ctrl-C to their parent.
    A signal that is ignored, as under `nohup`, stays ignored.
    """
    parent, told = os.getpid(), set[int]()

    def stop(number: int, _frame: object) -> None:
        if os.getpid() == parent:
            if number not in told:
                print(f"urbanpipe: {interrupted(sys.argv)}", file=sys.stderr)
            told.add(number)
            end_by_signal(number, 128 + number)
        if number != signal.SIGINT:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, stop)


def interrupted(arguments: Sequence[str]) -> str:
    """Return what to print when a command line is interrupted."""
    name = next((argument for argument in arguments if argument in {*VERBS, *GROUPS}), "")
    if name == "review":
        return "stopped; everything that was saved is kept"
    if name in RESUMABLE or name in RESUMABLE_GROUPS:
        return "interrupted; finished work is kept, rerun the same command to resume"
    return "interrupted; rerun the same command to start again"


def _show_every_name() -> None:
    """Escape what the encoding of the output cannot show, so that printing a name never fails."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _use_utf8_file_names() -> None:
    """Start again in Python's UTF-8 mode where the locale has another encoding, in which names of videos may not fit.

    What is printed keeps the encoding of the terminal. It starts again once at most: options of Python such as
    `-X utf8=0` and `-E` come before the variable.
    """
    if os.environ.get("PYTHONUTF8") == "1":
        return
    if os.name == "posix" and sys.getfilesystemencoding() != "utf-8" and sys.orig_argv:
        os.environ["PYTHONUTF8"] = "1"
        if sys.stdout is not None:
            os.environ["PYTHONIOENCODING"] = sys.stdout.encoding
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def main() -> None:
    """Run the command line.

    Exit status: 0 success, 1 bug (of `doctor`: broken installation), 2 user error, 3 done except for inputs that could
    not be used, 128 + N ended by signal N.
    """
    # Spinning idle threads slow torch down on a shared machine.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    _use_utf8_file_names()
    _show_every_name()
    _stop_on_signals()
    try:
        app()
    except Exception as error:
        status = _status_of(error)
        if status is None:
            log_crash()
            raise
        sys.exit(status)


def _status_of(error: Exception) -> int | None:
    """Return the exit status for an error, after a line that says what to do; None for a bug."""
    if isinstance(error, UrbanpipeError):
        complain(f"urbanpipe: {error}")
        return 2
    if isinstance(error, ModuleNotFoundError) and error.name in EXTRA_TRAIN:
        complain(f"urbanpipe: {error.name} is not installed; run `pip install 'urbanpipe[train]'`")
        return 2
    if isinstance(error, OSError) and is_broken_pipe(error):
        # the reader of the output has closed it, as in `urbanpipe audit ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    return None


if __name__ == "__main__":
    main()

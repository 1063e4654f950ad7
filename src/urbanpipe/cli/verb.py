"""What every verb has in common: --quiet, --log-file, and --json where it returns a `Result`."""

import functools
import inspect
import os
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from urbanpipe.cli.logs import log_to, quieten
from urbanpipe.cli.options import prints
from urbanpipe.cli.output import show_json
from urbanpipe.locations import plain_path

Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="Show no progress and no notes, only warnings, errors and results.")
]
LogFile = Annotated[
    Path | None,
    typer.Option("--log-file", metavar="FILE", help="Also append notes, warnings and errors to a file, with the time."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as one JSON object instead of text.")]


@dataclass(frozen=True)
class Result:
    """What a verb returns for programs, besides what it prints for people.

    Attributes:
        data: figures, names and paths of results by documented key; see `output.show_json` for the types.
        status: exit status: 0, or 3 if some inputs could not be used.
    """

    data: Mapping[str, object]
    status: int = 0


def verb(command: Callable[..., Result | None]) -> Callable[..., None]:
    """Return the command with the options of every verb, and with --json if it returns a `Result`.

    With --json, what the command prints for people is dropped and its data are printed.
    """
    signature = inspect.signature(command)
    common: dict[str, tuple[Any, object]] = {"quiet": (Quiet, False), "log_file": (LogFile, None)}
    if signature.return_annotation is Result:
        common["as_json"] = (AsJson, False)

    @functools.wraps(command)
    def run(*, quiet: bool, log_file: Path | None, as_json: bool = False, **options: Any) -> None:
        set_up_logs(quiet, log_file)
        given = {name: plain_paths(value) for name, value in options.items()}
        if as_json:
            with Path(os.devnull).open("w", encoding="utf-8") as nowhere, redirect_stdout(nowhere):
                result = command(**given)
        else:
            result = command(**given)
        if result is None:
            return
        if as_json and prints():
            show_json(result.data)
        if result.status:
            raise typer.Exit(result.status)

    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
        for name, (annotation, default) in common.items()
    ]
    parameters = [*signature.parameters.values(), *added]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    run.__signature__ = signature.replace(parameters=parameters, return_annotation=None)  # type: ignore[attr-defined]
    return run


def plain_paths(value: Any) -> Any:
    """Return the value of an option with `file:` addresses in it as the paths that they name."""
    if isinstance(value, list):
        return [plain_paths(item) for item in value]
    if isinstance(value, str | Path):
        plain = plain_path(str(value))
        return value if plain == str(value) else type(value)(plain)
    return value


def set_up_logs(quiet: bool, log_file: Path | None) -> None:
    """Apply --quiet and --log-file where they are given.

    Raises:
        OutputError: the file cannot be written.
    """
    if quiet:
        quieten()
    if log_file is not None:
        log_to(plain_paths(log_file))

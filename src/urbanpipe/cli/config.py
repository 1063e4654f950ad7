"""Default options from a TOML file: a table per verb, with the options' long names as keys.

Values are checked as if they were typed on the command line, all of them on every call, so that a mistake is found
before it matters.
"""

import difflib
import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import typer

from urbanpipe.errors import ConfigError
from urbanpipe.user_folders import user_config_file

NAME = "urbanpipe.toml"
VARIABLE = "URBANPIPE_CONFIG"
log = logging.getLogger(__name__)


def read_defaults(given: Path | None, ctx: typer.Context) -> dict[str, Any]:
    """Return the default options by verb and parameter, as `click.Context.default_map`.

    Args:
        given: the file; by default that of the environment variable, of the working folder or of the user, the first
            that there is.
        ctx: context of the command that has the verbs.

    Raises:
        ConfigError: the file is missing or not TOML, or has an unknown verb, option or value.
    """
    path = given or _found()
    if path is None:
        return {}
    log.info("default options: %s", path)
    return _verbs(path, _read(path), ctx.command, ctx, ())


def _found() -> Path | None:
    if named := os.environ.get(VARIABLE):
        return Path(named)
    return next((path for path in (Path(NAME), user_config_file()) if path is not None and _is_file(path)), None)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a home folder of others
        return False


def _read(path: Path) -> dict[str, Any]:
    from urbanpipe.settings import read_toml

    try:
        return read_toml(path)
    except OSError as error:
        raise ConfigError(f"cannot read the default options {path}: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"{path} is not TOML: {error}") from error


def _verbs(
    path: Path, tables: Mapping[str, Any], group: Any, ctx: typer.Context, names: Sequence[str]
) -> dict[str, Any]:
    """Return the defaults of the verbs of a group."""
    defaults = {}
    for name, table in tables.items():
        key = ".".join((*names, name))
        command = group.commands.get(name)
        if command is None:
            where = f"[{'.'.join(names)}]" if names else "the file"
            raise ConfigError(
                f"{path}: {key} is not a verb{_hint(name, group.commands)}; {where} takes a table per verb"
            )
        if not isinstance(table, Mapping):
            raise ConfigError(f"{path}: {key} is {table!r}; write a table [{key}] with options")
        read = _verbs if hasattr(command, "commands") else _options
        defaults[name] = read(path, table, command, ctx, (*names, name))
    return defaults


def _options(
    path: Path, table: Mapping[str, Any], command: Any, ctx: typer.Context, names: Sequence[str]
) -> dict[str, Any]:
    """Return the defaults of one verb by the names of its parameters."""
    options = {
        option.removeprefix("--"): parameter
        for parameter in command.params
        if parameter.param_type_name == "option" and parameter.name != "help"
        for option in parameter.opts
        if option.startswith("--")
    }
    defaults = {}
    for key, value in table.items():
        where = f"{path}: {key} in [{'.'.join(names)}]"
        parameter = options.get(key.replace("_", "-"))
        if parameter is None:
            raise ConfigError(f"{where} is not an option of `urbanpipe {' '.join(names)}`{_hint(key, options)}")
        defaults[parameter.name] = _checked(where, value, parameter, ctx)
    return defaults


def _checked(where: str, value: object, parameter: Any, ctx: typer.Context) -> object:
    """Return a value as it would be typed, after checking that the option takes it."""
    if parameter.is_flag:
        if not isinstance(value, bool):
            raise ConfigError(f"{where} is {value!r}; write true or false")
        return value
    values = value if isinstance(value, list) else [value]
    if any(isinstance(item, bool | list | Mapping) for item in values) or isinstance(value, list) > parameter.multiple:
        expected = "a list of values" if parameter.multiple else "one value"
        raise ConfigError(f"{where} is {value!r}; write {expected}")
    typed = [str(item) for item in values]
    given = typed if parameter.multiple else typed[0]
    try:
        parameter.process_value(ctx, given)
    except typer.BadParameter as error:
        from urbanpipe.settings import plain_message

        reason = plain_message(error.message).rstrip(".")
        raise ConfigError(f"{where} is {value!r}: {reason}") from None
    return given


def _hint(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name.replace("_", "-"), list(known), n=1)
    return f"; did you mean {near[0]}?" if near else ""

"""The page of the command line: every verb with its arguments and options."""

import inspect
from collections.abc import Iterator
from enum import Enum
from types import NoneType
from typing import Any, get_args, get_type_hints

import typer.main

from docs_pages.tables import table
from urbanpipe.cli.main import app

INTRODUCTION = """\
# Commands and options

`urbanpipe VERB --help` prints the same on your machine.
Exit status: 0 success, 1 a bug, 2 a mistake that you can correct, 3 done except for inputs that could not be used.
A verb may say more about its exit status below.
"""


def page() -> str:
    """Return the page as Markdown."""
    root = typer.main.get_command(app)
    sections = [_section(words, command) for words, command in _verbs(root, "urbanpipe")]
    return "\n".join([INTRODUCTION, _options(root), *sections])


def _verbs(command: Any, words: str) -> Iterator[tuple[str, Any]]:
    """Yield every verb below a command, with the words that call it."""
    if not hasattr(command, "commands"):
        yield words, command
        return
    for name, verb in command.commands.items():
        yield from _verbs(verb, f"{words} {name}")


def _options(root: Any) -> str:
    """Return the table of the options before a verb."""
    types = get_type_hints(root.callback)
    options = [option for option in root.params if option.name in types]
    head = ("option before the verb", "value", "default", "about")
    return table(head, [_option(option, types[option.name]) for option in options])


def _section(words: str, command: Any) -> str:
    types = get_type_hints(command.callback)
    shown = [parameter for parameter in command.params if not getattr(parameter, "hidden", False)]
    arguments = [parameter for parameter in shown if parameter.param_type_name == "argument"]
    options = [parameter for parameter in shown if parameter.param_type_name == "option" and parameter.name != "help"]
    usage = " ".join([words, *(_usage(argument) for argument in arguments), *(["[OPTIONS]"] if options else [])])
    parts = [f"## {words}\n", f"```text\n{usage}\n```\n", inspect.cleandoc(command.help or "") + "\n"]
    if arguments:
        parts.append(table(("argument", "about"), [(_usage(one), one.help or "") for one in arguments]))
    if options:
        parts.append(table(("option", "value", "default", "about"), [_option(one, types[one.name]) for one in options]))
    return "\n".join(parts)


def _usage(argument: Any) -> str:
    name = argument.name.upper() + ("..." if argument.nargs == -1 else "")
    return name if argument.required else f"[{name}]"


def _option(option: Any, annotation: Any) -> tuple[str, str, str, str]:
    names = ", ".join(f"`{name}`" for name in [*option.opts, *option.secondary_opts])
    return names, _value(option, annotation), _default(option), option.help or ""


def _value(option: Any, annotation: Any) -> str:
    """Return the type of an option for people; typer keeps its own in places that differ between its versions."""
    if option.is_flag:
        return ""
    names = " or ".join(f"`{name}`" for name in _names(annotation))
    return f"{names}; repeatable" if option.multiple else names


def _names(annotation: Any) -> list[str]:
    """Return the names of types within an annotation, and the values of enumerations and literals."""
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return [str(choice.value) for choice in annotation]
    if inner := get_args(annotation):
        return [name for one in inner if one is not NoneType for name in _names(one)]
    return [annotation.__name__.lower() if isinstance(annotation, type) else str(annotation)]


def _default(option: Any) -> str:
    if option.required:
        return "required"
    default = option.default
    if default is None or default == "" or isinstance(default, (list, tuple)) or callable(default):
        return ""
    if option.is_flag:
        return "on" if default else ""
    return f"`{getattr(default, 'value', default)}`"

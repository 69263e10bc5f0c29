"""What a command of dpsctl takes, and its parser and help, both made from its row in the table."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import NamedTuple, NoReturn

from dpsd.state.places import Places
from dpsd.system.command import PLACES_OPTIONS, Option, UsageError, find_places
from dpsd.text import printable, suggest

COMMON_OPTIONS = {**PLACES_OPTIONS, "--json": Option("print problems, and answers that are data, as JSON")}
_WIDTH = 80
"""Columns of the help. A fixed number also keeps argparse from loading shutil, which asks the terminal."""


class Arguments(NamedTuple):
    """options: by name, the value or an empty string."""

    options: dict[str, str]
    operands: list[str]
    places: Places

    def has(self, name: str) -> bool:
        return name in self.options


class Command(NamedTuple):
    """A row of the table. module: in `dpsd.dpsctl`, has `run(arguments) -> exit status`.

    options: by name, besides the common ones. operands: their names in order; one in brackets may be left out, and one
    with dots may be given more than once.
    """

    module: str
    summary: str
    options: Mapping[str, Option] = {}
    operands: tuple[str, ...] = ()


def parse_arguments(name: str, command: Command, words: list[str]) -> Arguments:
    """Parse what follows the name of a command; raises UsageError."""
    parser = _parser(name, command)
    found, strangers = parser.parse_known_args(words)
    if strangers:
        raise UsageError(_unexpected(strangers[0], {**COMMON_OPTIONS, **command.options}))
    values = vars(found)
    operands = [values.pop(operand, []) for operand in command.operands]
    flat = [word for given in operands for word in ([given] if isinstance(given, str) else given)]
    return Arguments(values, flat, find_places(values))


def help_of(name: str, command: Command) -> str:
    """Return the help of one command."""
    return _parser(name, command).format_help().rstrip()


def help_of_all(commands: Mapping[str, Command]) -> str:
    """Return the short help: a line for each command."""
    lines = [f"  {name:12} {command.summary}" for name, command in commands.items()]
    ends = ["", "the options of a command: dpsctl COMMAND --help", "the version: dpsctl --version"]
    return "\n".join(["usage: dpsctl COMMAND [OPTION...] [OPERAND...]", "", *lines, *ends])


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(printable(message))


def _parser(name: str, command: Command) -> argparse.ArgumentParser:
    parser = _Parser(
        usage=" ".join([f"dpsctl {name} [OPTION...]", *command.operands]),
        description=command.summary,
        formatter_class=lambda prog: argparse.HelpFormatter(prog, max_help_position=30, width=_WIDTH),
        allow_abbrev=False,
        add_help=False,  # argparse would print it and exit, even where nothing can be written
        argument_default=argparse.SUPPRESS,
    )
    for operand in command.operands:
        parser.add_argument(operand, nargs=_count(operand), metavar=operand.strip("[]"), help=argparse.SUPPRESS)
    _add_options(parser, "options", command.options)
    _add_options(parser, "options of every command", COMMON_OPTIONS)
    return parser


def _count(operand: str) -> str | None:
    if not operand.startswith("["):
        return None
    return "*" if operand.endswith("...]") else "?"


def _add_options(parser: argparse.ArgumentParser, title: str, options: Mapping[str, Option]) -> None:
    group = parser.add_argument_group(title)
    for name, option in options.items():
        if option.value:
            group.add_argument(name, dest=name, metavar=option.value, help=option.help)
        else:
            group.add_argument(name, dest=name, action="store_const", const="", help=option.help)


def _unexpected(word: str, options: Mapping[str, Option]) -> str:
    """Say that a word is not expected; of an option only the name: its value may be a secret."""
    if not word.startswith("-"):
        return f"unexpected operand {printable(word)}"
    name = word.partition("=")[0]
    return f"unknown option {printable(name)}{suggest(name, options)}"

"""Command lines that a page of the documentation shows."""

from __future__ import annotations

import shlex

import click

from asrkit.cli.main import main


def parse_command(line: str) -> None:
    """Parse everything of ``asrkit COMMAND ...``, and call nothing; a mistake is a click.UsageError."""
    name, *arguments = shlex.split(line, comments=True)[1:]
    command = main.get_command(None, name)  # type: ignore[arg-type]
    while isinstance(command, click.Group):
        name, *arguments = arguments
        command = command.get_command(None, name)  # type: ignore[arg-type]
    assert command is not None
    with command.make_context(name, arguments):
        pass

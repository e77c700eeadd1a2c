"""``asrkit info``."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command(short_help="Say what a file or directory is, and its main facts.")
@click.argument("path", metavar="PATH", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, with all that the text leaves out.")
def command(path: Path, as_json: bool) -> None:
    """Say what a file or directory is, and its main facts.

    PATH is a model, data, lang, graph, alignment or decoding directory, an ARPA file, a model file, or an archive of
    features or lattices with or without its scp. What it is shows from what it holds, not from its name.
    """
    from asrkit.stages.info.kinds import describe
    from asrkit.stages.info.text import as_lines

    found = describe(path)
    if as_json:
        click.echo(json.dumps(found.to_json(), ensure_ascii=False))
    else:
        for line in as_lines(found):
            click.echo(line)

"""``asrkit pack``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from asrkit.cli.options import stage_command
from asrkit.recognizer.config import RecognizerConfig
from asrkit.stages.pack import pack
from asrkit.stages.record import RunOptions, StageReport

_PATH = click.Path(path_type=Path)


@click.command(short_help="Put a model and its graph into one file that `asrkit transcribe` opens.")
@stage_command(RecognizerConfig, jobs=False, seed=False)
@click.argument("model", metavar="MODEL", type=_PATH)
@click.argument("graph", metavar="GRAPH", type=_PATH)
@click.argument("out", metavar="OUT.asrkit", type=_PATH)
@click.option(
    "--from",
    "best",
    type=_PATH,
    metavar="BEST",
    help="Take LM weight and insertion penalty from a best.json that `asrkit score` wrote, or from its directory.",
)
@click.option("--lang", type=_PATH, metavar="LANG", help="Lang directory of the graph.  [default: as the graph says]")
@click.option(
    "--lm", "language_model", type=_PATH, metavar="ARPA", help="The graph's language model, so that words can be added."
)
@click.option("--g2p", type=_PATH, metavar="MODEL", help="G2P model, which pronounces words that are added.")
@click.option(
    "--cmvn", type=_PATH, metavar="DATA", help="Data whose CMVN starts live audio.  [default: that of the training]"
)
@click.option("--licence", type=_PATH, metavar="FILE", help="What may be done with the model, as text.")
def command(
    model: Path,
    graph: Path,
    out: Path,
    best: Path | None,
    lang: Path | None,
    language_model: Path | None,
    g2p: Path | None,
    cmvn: Path | None,
    licence: Path | None,
    config: Any,
    options: RunOptions,
) -> StageReport:
    """Put a model and its graph into one file that `asrkit transcribe` opens.

    MODEL is a model directory, GRAPH a graph directory made with it. OUT.asrkit holds all that recognising needs:
    graph, acoustic model, front end, words and pronunciations, the settings of the search.
    """
    return pack(model, graph, out, config, options, best, lang, language_model, g2p, cmvn, licence)

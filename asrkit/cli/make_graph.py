"""``asrkit make-graph``."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import click

from asrkit.cli.options import stage_command
from asrkit.stages.make_graph import MakeGraphConfig
from asrkit.stages.record import RunOptions, StageReport


@click.command(short_help="Build the decoding graph HCLG of a model and a language model.")
@stage_command(MakeGraphConfig, jobs=False, seed=False)
@click.argument("lang", metavar="LANG", type=click.Path(path_type=Path))
@click.argument("language_model", metavar="LM", type=click.Path(path_type=Path))
@click.argument("model", metavar="MODEL", type=click.Path(path_type=Path))
@click.argument("graph", metavar="GRAPH", type=click.Path(path_type=Path))
@click.option(
    "--on-the-fly",
    is_flag=True,
    help="Put only a small part of the n-gram model into HCLG; `asrkit decode` adds the rest as it searches.",
)
def command(
    lang: Path,
    language_model: Path,
    model: Path,
    graph: Path,
    on_the_fly: bool,
    config: MakeGraphConfig,
    options: RunOptions,
) -> StageReport:
    """Build the decoding graph HCLG of a model and a language model.

    LANG is a lang directory, LM an ARPA file (.arpa, .arpa.gz), a JSGF grammar or a list of phrases, MODEL the
    directory of an acoustic model, GRAPH the directory to be made.

    A large n-gram model makes a graph that takes gigabytes. With --on-the-fly it takes a fraction of that, for the same
    results up to pruning and a slower search; GRAPH is used like any other.
    """
    from asrkit.stages.make_graph import make_graph

    if on_the_fly:
        config = dataclasses.replace(config, on_the_fly=True)
    return make_graph(lang, language_model, model, graph, config, options)

"""``asrkit listen``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from asrkit.cli.recognizer_options import recognizer_command, show_live
from asrkit.stages.recognizers import RecognizerOptions, open_recognizer


@click.command(short_help="Turn what a microphone hears into words.")
@click.argument("model", metavar="MODEL", type=click.Path(path_type=Path))
@recognizer_command
@click.option("--device", metavar="DEVICE", help="Name or number of the microphone.  [default: the system's]")
@click.option("--rate", type=int, metavar="HZ", help="To record at.  [default: the model's]")
@click.option("--seconds", type=click.FloatRange(0, min_open=True), metavar="SECS", help="Stop after so long.")
@click.option("--partials/--no-partials", default=None, help="Print guesses as they change.  [default: on a terminal]")
def command(
    recognizer: RecognizerOptions,
    quiet: bool,
    form: Any,
    nbest: int,
    device: str | None,
    rate: int | None,
    seconds: float | None,
    partials: bool | None,
) -> None:
    """Turn what a microphone hears into words, until Ctrl-C.

    MODEL is a file that `asrkit pack` made (or a model directory, with --graph). Needs the package sounddevice:
    pip install 'asrkit[mic]'.
    """
    from asrkit.recognizer.microphone import microphone_blocks, require_sounddevice

    require_sounddevice()  # said before the model is loaded
    opened = open_recognizer(recognizer)
    stream = opened.stream(rate, nbest=nbest)
    if not quiet:
        click.echo("listening; Ctrl-C ends", err=True)
    show_live(stream, microphone_blocks(stream.rate_hz, device, seconds), form, partials, "microphone")

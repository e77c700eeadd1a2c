"""``asrkit listen``."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
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
    with _interrupts() as interrupted:
        blocks = microphone_blocks(stream.rate_hz, device, seconds, interrupted.is_set)
        show_live(stream, blocks, form, partials, "microphone")


@contextmanager
def _interrupts() -> Iterator[threading.Event]:
    """Let the first Ctrl-C be a wish to end, with what was heard, wherever it comes; the second is one to break off."""
    interrupted = threading.Event()
    before = signal.getsignal(signal.SIGINT)

    def wish(*_: object) -> None:
        interrupted.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    changed = before is signal.default_int_handler and threading.current_thread() is threading.main_thread()
    if changed:
        signal.signal(signal.SIGINT, wish)
    try:
        yield interrupted
    finally:
        if changed:
            signal.signal(signal.SIGINT, before)

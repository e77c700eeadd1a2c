"""``asrkit transcribe``."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from asrkit.cli.options import no_progress, show_progress
from asrkit.cli.recognizer_options import recognizer_command, show_live
from asrkit.core.errors import AsrkitError, DataError
from asrkit.stages.recognizers import RecognizerOptions, open_recognizer
from asrkit.stages.record import RunOptions
from asrkit.stages.transcribe import (
    LIVE_BLOCK_SECS,
    Speakers,
    TranscribeOptions,
    Transcript,
    check_names,
    failures_of,
    find_sources,
    renamed,
    summary,
    transcribe,
    write_transcripts,
)

_PATH = click.Path(path_type=Path)


@click.command(short_help="Turn audio files, or raw audio from standard input, into words.")
@click.argument("model", metavar="MODEL", type=_PATH)
@click.argument("audio", metavar="AUDIO...", nargs=-1, required=True, type=click.Path(path_type=Path, allow_dash=True))
@recognizer_command
@click.option("-o", "--out", type=_PATH, metavar="DIR", help="Write a file for each recording instead of printing.")
@click.option("--channel", type=click.IntRange(1), metavar="N", help="Only this channel, from 1.  [default: all]")
@click.option("-j", "--num-jobs", type=click.IntRange(1), default=1, show_default=True, help="Workers.")
@click.option(
    "--cut-over",
    type=click.FloatRange(0),
    default=30.0,
    show_default=True,
    metavar="SECS",
    help="Cut recordings longer than this into segments of speech; 0: none.",
)
@click.option(
    "--speakers",
    type=click.Choice(["one", "many"]),
    default="one",
    show_default=True,
    help="Of a recording that is cut: normalise and adapt over all segments of a channel, or in each by itself.",
)
@click.option("--live", is_flag=True, help="Hear files as if they came from a microphone.")
@click.option("--rate", type=int, metavar="HZ", help="Of raw audio on standard input.  [default: the model's]")
@click.option("--partials/--no-partials", default=None, help="Print guesses as they change.  [default: on a terminal]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object with everything, and how long it took.")
@click.pass_context
def command(
    context: click.Context,
    audio: tuple[Path, ...],
    recognizer: RecognizerOptions,
    quiet: bool,
    form: Any,
    nbest: int,
    out: Path | None,
    channel: int | None,
    num_jobs: int,
    cut_over: float,
    speakers: Speakers,
    live: bool,
    rate: int | None,
    partials: bool | None,
    as_json: bool,
) -> None:
    """Turn audio files, or raw audio from standard input, into words.

    MODEL is a file that `asrkit pack` made (or a model directory, with --graph). AUDIO are files that libsndfile or
    librosa reads, of any rate from the model's upwards, folders of such files, or - for raw audio on standard input:
    signed 16-bit little-endian samples, one channel, printed as it settles.
    """
    if Path("-") in audio:
        if len(audio) > 1 or out is not None or as_json:
            raise click.UsageError("- stands alone, and is printed")
        if channel is not None:
            raise click.UsageError("--channel is of files: raw audio has one channel")
        opened = open_recognizer(recognizer)
        stream = opened.stream(rate, nbest=nbest)
        show_live(stream, _raw_blocks(stream.rate_hz), form, partials, "stdin")
        return
    if rate is not None:
        raise click.UsageError("--rate is of raw audio on standard input: files know theirs")
    if as_json and out is None and context.get_parameter_source("form") is not ParameterSource.DEFAULT:
        raise click.UsageError("--json prints one object in place of --format; give one of them, or --out DIR")
    started = time.perf_counter()
    sources = renamed(find_sources(audio))
    if out is not None:
        check_names(sources)
    options = TranscribeOptions(form, nbest, channel, cut_over, speakers, live)
    opened = open_recognizer(recognizer)
    if as_json or form == "json":
        # Both tell how long recognising took.
        opened.warm_up(live=live, nbest=nbest)
    ready = time.perf_counter()
    run = RunOptions(num_jobs=num_jobs, progress=no_progress if quiet or len(sources) < 2 else show_progress)
    done = _print_or_write(transcribe(opened, sources, options, run), len(sources), out, form, as_json)
    if as_json:
        click.echo(json.dumps(summary(done, ready - started, time.perf_counter() - ready), ensure_ascii=False))
    _report_failures(done)


def _print_or_write(
    transcripts: Iterator[Transcript], num_sources: int, out: Path | None, form: Any, as_json: bool
) -> Sequence[Transcript]:
    if out is not None:
        return [one for one, _ in write_transcripts(transcripts, out, form)]
    done = []
    for one in transcripts:
        done.append(one)
        if one.result is None or as_json:
            continue
        if form == "text" and (num_sources > 1 or one.num_channels > 1):
            # One line each, so that it is clear whose words they are.
            name = one.source.name + (f".ch{one.channel}" if one.num_channels > 1 else "")
            click.echo(f"{' '.join(name.split())}\t{one.result.text}")
        else:
            click.echo(one.text(form), nl=False)
    return done


def _report_failures(done: Sequence[Transcript]) -> None:
    failures = failures_of(done)
    if len(done) == 1 and done[0].failure is not None:
        raise done[0].failure
    for failure in failures:
        click.echo(f"failed: {failure.reason}", err=True)
    if failures:
        raise AsrkitError(f"{len(failures)} of {len(done)} recordings could not be transcribed")


def _raw_blocks(rate_hz: int) -> Iterator[Any]:
    """Yield int16 samples from standard input as they come."""
    import numpy as np

    if sys.stdin is None:
        raise DataError("closed, expected raw audio", where="standard input")
    size = 2 * max(1, round(LIVE_BLOCK_SECS * rate_hz))
    read = getattr(sys.stdin.buffer, "read1", sys.stdin.buffer.read)
    left = b""
    while data := read(size):
        data = left + data
        whole = len(data) // 2 * 2
        left = data[whole:]
        yield np.frombuffer(data[:whole], dtype="<i2").astype(np.int16)
    if left:
        raise DataError("half a sample at the end, expected signed 16-bit samples", where="standard input")

"""What the commands that recognise share: options of model, settings and words, and the printing of live events."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from asrkit.cli.options import set_up_logging
from asrkit.core.errors import DataError
from asrkit.recognizer.formats import FORMATS, ctm_text
from asrkit.recognizer.result import Partial, Segment
from asrkit.recognizer.subtitles import make_cues, srt_text, vtt_text
from asrkit.stages.recognizers import RecognizerOptions

if TYPE_CHECKING:
    from asrkit.recognizer.result import Result
    from asrkit.recognizer.stream import RecognizerStream

F = Callable[..., Any]
_PATH = click.Path(path_type=Path)


def recognizer_command(function: F) -> F:
    """Give a command the shared options; it receives ``recognizer`` (a :class:`RecognizerOptions`) and ``quiet``."""

    @functools.wraps(function)
    def run(**arguments: Any) -> None:
        quiet, verbose, debug = (arguments.pop(name) for name in ("quiet", "verbose", "debug"))
        set_up_logging(quiet, verbose, debug)
        names = ("model", "graph", "config_file", "overrides", "best", "upsample", "phrases", "add_words", "word_cost")
        arguments["recognizer"] = RecognizerOptions(**{name: arguments.pop(name) for name in names})
        function(quiet=quiet, **arguments)

    decorated: F = run
    for option in reversed(list(_options())):
        decorated = option(decorated)
    return decorated


def _options() -> Iterator[Callable[[F], F]]:
    yield click.option("--graph", type=_PATH, metavar="GRAPH", help="Graph, where MODEL is a model directory.")
    yield click.option(
        "--format", "form", type=click.Choice(FORMATS), default="text", show_default=True, help="What to write."
    )
    yield click.option("--nbest", type=click.IntRange(1), default=1, show_default=True, help="Alternatives, in JSON.")
    yield click.option("--phrases", type=_PATH, metavar="FILE", help="All that may be said: a list, or a JSGF grammar.")
    yield click.option(
        "--add-words", type=_PATH, metavar="FILE", help="Words to know: 'WORD PHONE PHONE …', or 'WORD' for G2P."
    )
    yield click.option(
        "--word-cost", type=float, metavar="NATS", help="Cost of an added word.  [default: share of the unknown word's]"
    )
    yield click.option(
        "--from", "best", type=_PATH, metavar="BEST", help="LM weight and insertion penalty of `asrkit score`."
    )
    yield click.option("--config", "config_file", metavar="FILE.toml", help="Settings other than the model's.")
    yield click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Set one of them.")
    yield click.option("--upsample", is_flag=True, help="Also take audio of a lower rate than the model's.")
    yield click.option("-q", "--quiet", is_flag=True, help="Only warnings and errors.")
    yield click.option("-v", "--verbose", is_flag=True, help="Say more.")
    yield click.option("--debug", is_flag=True, help="Say everything, and show tracebacks.")


def show_live(stream: RecognizerStream, blocks: Iterable[Any], form: str, partials: bool | None, name: str) -> Result:
    """Feed a stream and print what it says as it settles; return the whole.

    Parameters
    ----------
    blocks : iterable of ndarray
    form : str
        Of the utterances; JSON prints partial results as objects of their own, too.
    partials : bool or None
        Whether guesses are shown of an utterance that goes on; None: on a terminal.
    name : str
        Of the recording, for CTM.

    Raises
    ------
    DataError
        The blocks broke off, and all that was heard before is printed.
    """
    on_terminal = sys.stdout.isatty()
    show = on_terminal if partials is None else partials
    printer = _Printer(form, show, on_terminal and form == "text", name)
    broken: list[DataError] = []
    for block in _until_broken(blocks, broken):
        for event in stream.feed(block):
            printer.show(event)
    before = printer.num_segments
    result = stream.finish()
    for segment in result.segments[before:]:
        printer.show(segment)
    if form == "textgrid":
        from asrkit.recognizer.formats import textgrid

        click.echo(textgrid(result).text(), nl=False)
    if broken:
        raise broken[0]
    return result


def _until_broken(blocks: Iterable[Any], broken: list[DataError]) -> Iterator[Any]:
    """Yield blocks as long as they come; what was heard before an error is to be printed first."""
    try:
        yield from blocks
    except DataError as error:
        broken.append(error)


class _Printer:
    """Prints the events of live audio."""

    def __init__(self, form: str, partials: bool, overwrite: bool, name: str) -> None:
        self._form, self._partials, self._overwrite, self._name = form, partials, overwrite, name
        self._num_cues = 0
        self._width = 0
        self.num_segments = 0
        if form == "vtt":
            click.echo("WEBVTT\n")

    def show(self, event: Partial | Segment) -> None:
        if isinstance(event, Segment):
            self.num_segments += 1
            self._segment(event)
        elif self._partials and self._form in ("text", "json"):
            self._partial(event)
        sys.stdout.flush()

    def _partial(self, event: Partial) -> None:
        if self._form == "json":
            click.echo(json.dumps(event.to_json(), ensure_ascii=False))
        elif self._overwrite:
            click.echo("\r" + event.text.ljust(self._width), nl=False)
            self._width = len(event.text)
        else:
            click.echo(f"… {event.text}")

    def _segment(self, segment: Segment) -> None:
        if self._form == "text":
            click.echo(("\r" if self._overwrite else "") + segment.text.ljust(self._width))
            self._width = 0
        elif self._form == "json":
            click.echo(json.dumps(segment.to_json(), ensure_ascii=False))
        elif self._form == "ctm":
            click.echo(ctm_text([segment], self._name, 1), nl=False)
        elif self._form in ("srt", "vtt"):
            cues = make_cues([segment])
            text = srt_text(cues, self._num_cues + 1) if self._form == "srt" else vtt_text(cues, header=False)
            self._num_cues += len(cues)
            click.echo(text, nl=False)

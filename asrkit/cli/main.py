"""The ``asrkit`` command: a table of commands, each imported only when it is called."""

from __future__ import annotations

import contextlib
import errno
import importlib
import logging
import os
import sys
import threading
import traceback
from typing import Any

import click

import asrkit
from asrkit.core.errors import AsrkitError

COMMANDS: dict[str, tuple[str, str]] = {
    "prepare": ("asrkit.cli.prepare", "Turn a corpus as published into a data directory."),
    "validate": (
        "asrkit.cli.validate",
        "Check a data directory and say what is wrong with it; mend it with --fix.",
    ),
    "subset": ("asrkit.cli.subset", "Take some utterances of a data directory."),
    "make-lang": ("asrkit.cli.make_lang", "Make a lang directory from a pronunciation lexicon."),
    "train-lm": (
        "asrkit.cli.train_lm",
        "Train an n-gram language model, or combine, prune and evaluate models.",
    ),
    "train-g2p": ("asrkit.cli.train_g2p", "Learn from a lexicon how words are pronounced."),
    "g2p": ("asrkit.cli.g2p", "Print lexicon lines for words that no lexicon holds."),
    "make-lexicon": ("asrkit.cli.make_lexicon", "Look up or guess the pronunciations of a list of words."),
    "segment": ("asrkit.cli.segment", "Find the speech in long recordings and cut them into segments."),
    "extract": ("asrkit.cli.extract", "Extract features and CMVN statistics of a data directory."),
    "vtln": ("asrkit.cli.vtln", "Find each speaker's warp factor (vocal tract length normalisation)."),
    "train-gmm": ("asrkit.cli.train_gmm", "Train a GMM-HMM acoustic model."),
    "pretrain": ("asrkit.cli.pretrain", "Learn a stack of layers from features alone, without labels."),
    "sample": (
        "asrkit.cli.sample",
        "Draw frames from a stack of RBMs, or the bases of a convolutional one, with pictures.",
    ),
    "train-music": ("asrkit.cli.train_music", "Train a model of music, which foretells the notes of the next step."),
    "sample-music": ("asrkit.cli.sample_music", "Draw pieces from a model of music, as MIDI files and a picture."),
    "timing": ("asrkit.cli.timing", "Train nets of one memory cell on tasks of precise timing."),
    "hopfield": (
        "asrkit.cli.hopfield",
        "Store patterns of speech in a Hopfield network, and recall them from damaged ones.",
    ),
    "train-dnn": ("asrkit.cli.train_dnn", "Train a neural network as acoustic model, or as classifier."),
    "classify": ("asrkit.cli.classify", "Name the label of each utterance: speaker, gender, word."),
    "probe": ("asrkit.cli.probe", "Compare features by what a simple classifier learns from few utterances."),
    "adapt": ("asrkit.cli.adapt", "Adapt a trained GMM-HMM to a new speaker or domain (MAP)."),
    "write-inputs": (
        "asrkit.cli.write_inputs",
        "Write what a model sees, LDA, MLLT and fMLLR applied, as features.",
    ),
    "align": ("asrkit.cli.align", "Find the times of words and phones with a trained model."),
    "train-lexicon": (
        "asrkit.cli.train_lexicon",
        "Estimate pronunciation and silence probabilities from an alignment.",
    ),
    "make-graph": ("asrkit.cli.make_graph", "Build the decoding graph HCLG of a model and a language model."),
    "decode": ("asrkit.cli.decode", "Recognise the utterances of a data directory."),
    "lattice-to-slf": ("asrkit.cli.lattice_to_slf", "Write lattices in HTK's Standard Lattice Format."),
    "transcribe": ("asrkit.cli.transcribe", "Turn audio files, or raw audio from standard input, into words."),
    "listen": ("asrkit.cli.listen", "Turn what a microphone hears into words."),
    "rescore": ("asrkit.cli.rescore", "Put another language model into lattices."),
    "combine": ("asrkit.cli.combine", "Combine what several systems recognised."),
    "export": ("asrkit.cli.export", "Write a network for other programs, as an ONNX model."),
    "pack": ("asrkit.cli.pack", "Put a model and its graph into one file that `asrkit transcribe` opens."),
    "score": (
        "asrkit.cli.score",
        "Compare hypotheses with references: error rates, intervals, significance.",
    ),
    "score-alignment": (
        "asrkit.cli.score_alignment",
        "Compare the phone boundaries of an alignment with hand labels.",
    ),
    "sweep": (
        "asrkit.cli.sweep",
        "Run commands for every combination of some values, and tabulate the results.",
    ),
    "info": ("asrkit.cli.info", "Say what a file or directory is, and its main facts."),
}


TORCH_REMEDY = "pip install 'torch>=2.5,<2.14' --index-url https://download.pytorch.org/whl/cpu, where no GPU is used"


class _Commands(click.Group):
    """Loads a command's module on first use, and turns our errors into one clean line."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(COMMANDS[name][0]).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        import difflib

        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            close = difflib.get_close_matches(args[0], COMMANDS, n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            ctx.fail(f"No such command {args[0]!r}.{hint}")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except AsrkitError as error:
            code = _report(error, f"asrkit: {error}")
            ctx.exit(code)
        except KeyboardInterrupt:
            click.echo("asrkit: interrupted", err=True)
            ctx.exit(130)
        except (click.exceptions.Exit, click.ClickException, click.Abort):
            raise
        except BrokenPipeError:
            ctx.exit(1)
        except OSError as error:
            ctx.exit(_report(error, f"asrkit: {_describe(error)}"))
        except ModuleNotFoundError as error:
            if error.name != "torch":
                raise
            ctx.exit(_report(error, f"asrkit: networks need PyTorch, and it is not installed ({TORCH_REMEDY})"))
        except MemoryError as error:
            ctx.exit(_report(error, f"asrkit: not enough memory ({error})"))
        except Exception as error:
            if _is_out_of_memory(error):
                first = str(error).partition("\n")[0]
                ctx.exit(_report(error, f"asrkit: not enough memory ({first})"))
            text = f"asrkit: internal error, please report it (--debug shows where): {type(error).__name__}: {error}"
            ctx.exit(_report(error, text))


_ADVICE = {
    IsADirectoryError: "a file is expected here",
    NotADirectoryError: "a directory is expected here, or above it",
    FileExistsError: "a directory is expected here",
    PermissionError: "name a place that you may read and write, or change its permissions",
}


_ADVICE_BY_CODE = {
    errno.ENOSPC: "make room, or name a place on another disk",
    errno.EDQUOT: "make room, or name a place on another disk",
    errno.EFBIG: "the system allows no file of this size here; see `ulimit -f`",
}


def _describe(error: OSError) -> str:
    """Say what the system refused as our own errors do: where, what, and the remedy."""
    if error.strerror is None:
        return str(error)
    place = " -> ".join(str(name) for name in (error.filename, error.filename2) if name is not None)
    advice = _ADVICE.get(type(error)) or _ADVICE_BY_CODE.get(error.errno or 0)
    return f"{place}{': ' if place else ''}{error.strerror.lower()}{f' ({advice})' if advice else ''}"


def _is_out_of_memory(error: Exception) -> bool:
    """Torch raises a RuntimeError for want of memory, on the GPU one of its own; importing torch to ask is too dear."""
    return isinstance(error, RuntimeError) and (
        type(error).__name__ == "OutOfMemoryError" or "DefaultCPUAllocator" in str(error)
    )


def _report(error: BaseException, text: str) -> int:
    if logging.getLogger("asrkit").isEnabledFor(logging.DEBUG):
        traceback.print_exception(error, file=sys.stderr)
    click.echo(text, err=True)
    return getattr(error, "exit_code", 1)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(asrkit.__version__, prog_name="asrkit")
def main() -> None:
    """Speech recognition from recordings to a word error rate."""


def program() -> None:
    """The program ``asrkit``: :func:`main` in a process of its own.

    Where a failure leaves workers inside compiled code, the process ends without them: Python crashes in waiting.
    """
    try:
        main()
    except SystemExit as end:
        if not end.code or not any(thread.daemon for thread in threading.enumerate()):
            raise
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError, AttributeError):
                stream.flush()
        os._exit(end.code if isinstance(end.code, int) else 1)

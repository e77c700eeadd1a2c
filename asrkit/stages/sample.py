"""`asrkit sample`: frames drawn from a stack of RBMs, as arrays and as a picture."""

from __future__ import annotations

from pathlib import Path

from asrkit.core.archives import ArchiveWriter
from asrkit.core.errors import ModelError
from asrkit.data.datadir import DataDir
from asrkit.features.description import read_inputs
from asrkit.features.frontend import check_front_end, load_front_end
from asrkit.features.pipeline import ModelInputs
from asrkit.nnet.energy.config import SampleConfig
from asrkit.nnet.energy.sampling import draw_samples
from asrkit.nnet.stack import Stack, load_stack, stack_files
from asrkit.nnet.train.frames import Frames
from asrkit.stages.acoustic import data_files
from asrkit.stages.network_features import usable_utterances
from asrkit.stages.pictures import check_pictures, draw_picture
from asrkit.stages.record import Failure, RunOptions, StageReport, StageResult, check_apart, run_stage

PICTURE = "samples.png"

DRAWN = 64
"""Samples in the picture, at most."""


def sample_stack(
    stack_path: Path, out: Path, config: SampleConfig, options: RunOptions, data_path: Path | None = None
) -> StageReport:
    """Draw frames from a stack of RBMs: Gibbs steps at its top, then down through the layers.

    Parameters
    ----------
    stack_path : Path
        What `asrkit pretrain rbm` or `dbn` made.
    out : Path
        Directory to be made: ``samples.ark`` with a matrix (window, dimension) of features for each sample, not
        normalised, earliest frame first, and ``samples.png``.
    data_path : Path, optional
        Data directory from whose frames the chains start; otherwise they start from the biases.

    Raises
    ------
    ModelError
        The stack is one of autoencoders, which give frames no probability.
    ConfigError
        A picture is wanted, and matplotlib is not installed.
    TooManyFailedError
        Too many utterances have no features.
    """
    check_apart(out, stack_path, *([] if data_path is None else [data_path]))
    check_pictures(config.pictures, "--set pictures=false for arrays alone")
    inputs = [*stack_files(stack_path), *([] if data_path is None else data_files(data_path, ("utt2spk",)))]

    def body() -> StageResult:
        stack = load_stack(stack_path)
        if any(layer.kind == "autoencoder" for layer in stack.layers):
            raise ModelError(
                "autoencoders give frames no probability to draw by",
                where=stack_path,
                remedy="give a stack of `asrkit pretrain rbm` or `dbn`",
            )
        start, failures = (None, ()) if data_path is None else _frames_of(data_path, stack, options)
        samples = draw_samples(stack, config, options.seed, start)
        with ArchiveWriter(out, "samples") as writer:
            for number, one in enumerate(samples, 1):
                writer.write(f"sample-{number:04d}", one)
        if config.pictures:
            draw_picture(samples[:DRAWN], out / PICTURE)
        num_samples, width, dim = samples.shape
        figures = {"samples": num_samples, "frames": width, "dim": dim, "gibbs_steps": config.num_steps}
        return StageResult(figures, failures)

    outputs = [out / "samples.ark", out / "samples.scp", *([out / PICTURE] if config.pictures else [])]
    return run_stage("sample", out, inputs, config, outputs, options, body)


def _frames_of(data_path: Path, stack: Stack, options: RunOptions) -> tuple[Frames, tuple[Failure, ...]]:
    check_front_end(stack.front_end, load_front_end(data_path), data_path)
    origin = read_inputs(data_path)
    if origin != stack.inputs:
        raise ModelError(
            "the stack was trained on inputs of another kind than these features",
            where=data_path,
            remedy="give the features that it was trained on",
        )
    data = DataDir.load(data_path)
    features = ModelInputs(data, stack.unspliced)
    usable, failures = usable_utterances(data, features, options)
    splice = stack.pipeline.splice_left, stack.pipeline.splice_right
    return Frames(features, list(usable), stack.normalisation, *splice), failures

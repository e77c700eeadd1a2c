"""`asrkit train-dnn --targets ctc`: from features and transcripts to a recurrent network that needs no alignment."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from asrkit.core.errors import ConfigError
from asrkit.core.progress import Progress
from asrkit.data.datadir import DataDir
from asrkit.features.frontend import load_front_end
from asrkit.features.pipeline import ModelInputs
from asrkit.hmm.ctc import BLANK, ctc_structure
from asrkit.hmm.transitions import TransitionModel
from asrkit.hmm.tree import ContextTree
from asrkit.nnet.acoustic import NnetCtc, log_priors
from asrkit.nnet.device import pick_device
from asrkit.nnet.layers.recurrent import SequenceNetwork
from asrkit.nnet.network import NetworkShape
from asrkit.nnet.normalisation import InputNormalisation
from asrkit.nnet.sequence.ctc import CtcObjective
from asrkit.nnet.train.parallel import Group, join_group
from asrkit.nnet.train.recurrent import train_recurrent
from asrkit.nnet.train.utterances import LabelledUtterances
from asrkit.stages.acoustic import data_files, model_files, save_model_folder
from asrkit.stages.checkpoint import training_key
from asrkit.stages.dnn_config import NetworkStageConfig, RecurrentStageConfig
from asrkit.stages.held_out import hold_out
from asrkit.stages.network_features import CACHE_BYTES
from asrkit.stages.network_training import Checkpoints, TrainedNetwork, run_together
from asrkit.stages.phone_targets import PhoneSource, PhoneTargets, open_phone_targets
from asrkit.stages.record import RunOptions, StageReport, StageResult, check_apart, check_failures


def train_ctc(
    kind: str, data_path: Path, source_path: Path, out: Path, config: NetworkStageConfig, options: RunOptions
) -> StageReport | None:
    """Train a network by connectionist temporal classification.

    Started by torchrun, several processes do it together.

    Parameters
    ----------
    kind : str
        Name of the subcommand.
    data_path : Path
        Data directory with features and transcripts.
    source_path : Path
        Lang directory, of whose pronunciations the first are taken; or directory with ``ali.scp``, whose alignment
        says which pronunciations were said.
    out : Path
        Model directory to be made. ``epochs.json`` has the figures of each epoch.

    Returns
    -------
    StageReport or None
        None in all processes but the first one.

    Raises
    ------
    DataError, FormatError, ModelError, ConfigError
        An input is absent or damaged, or they do not belong together; or the network is not recurrent.
    TooManyFailedError
        Too many utterances have no features, no phones, or fewer frames than their phones take.
    """
    if not isinstance(config, RecurrentStageConfig):
        raise ConfigError(
            "targets are 'ctc', and the network is not recurrent",
            remedy="train one of `asrkit train-dnn blstm`, `lstm`, `gru`, `ligru`, `elman` or `rnn`",
        )
    check_apart(out, data_path, source_path)
    source = PhoneSource.at(source_path)
    group = join_group(pick_device(config.training.device).type == "cuda")
    inputs = [*data_files(data_path, ("utt2spk", "text")), *source.files()]
    checkpoints = Checkpoints(out, training_key(config, options.seed, inputs), read_only=not group.leads)

    def train() -> tuple[_Corpus, TrainedNetwork]:
        corpus = _open(data_path, source, config, options)
        return corpus, _train(corpus, config, options, checkpoints, group)

    def finish(trained: tuple[_Corpus, TrainedNetwork]) -> StageResult:
        corpus, made = trained
        made.save_epochs(out / "epochs.json")
        model = _model(corpus, made, config, options.progress)
        save_model_folder(out, load_front_end(data_path), config.pipeline, source.lang_path, model, data_path)
        checkpoints.clear()
        return StageResult({**model.sizes(), **corpus.figures(), **made.figures()}, corpus.labelled.failures)

    outputs = [*(out / path.name for path in model_files(data_path)), out / "epochs.json"]
    return run_together(f"train-dnn {kind}", out, inputs, config, outputs, options, group, train, finish)


@dataclass(frozen=True)
class _Corpus:
    """What is trained on."""

    tree: ContextTree
    transitions: TransitionModel
    features: ModelInputs
    labelled: PhoneTargets
    training: list[str]
    heldout: list[str]
    normalisation: InputNormalisation

    def figures(self) -> dict[str, int]:
        """Return the numbers of frames and labels."""
        frames, labels = self.labelled.num_frames, self.labelled.labels
        return {
            "training_frames": sum(frames[key] for key in self.training),
            "training_labels": sum(len(labels[key]) for key in self.training),
            "heldout_frames": sum(frames[key] for key in self.heldout),
            "heldout_labels": sum(len(labels[key]) for key in self.heldout),
        }


def _open(data_path: Path, source: PhoneSource, config: RecurrentStageConfig, options: RunOptions) -> _Corpus:
    data, lang = DataDir.load(data_path), source.lang()
    tree, transitions = ctc_structure(lang.inventory)
    load_front_end(data_path)  # the finished model must say how its features were made
    features = ModelInputs(data, config.pipeline, CACHE_BYTES)
    labelled = open_phone_targets(data, features, source.open(tree, lang))
    check_failures(labelled.failures, len(data.utterances), options, data_path)
    parts = hold_out(data, list(labelled.labels), config.heldout_share, options.seed, config.heldout_by)
    width = config.pipeline.splice_left + 1 + config.pipeline.splice_right
    # Of single frames, those in the middle of each window kept.
    dim = features.dim // width
    middle = slice(config.pipeline.splice_left * dim, (config.pipeline.splice_left + 1) * dim)
    normalisation = InputNormalisation.of(features[key][:, middle] for key in parts[0])
    return _Corpus(tree, transitions, features, labelled, *parts, normalisation)


def _train(
    corpus: _Corpus, config: RecurrentStageConfig, options: RunOptions, checkpoints: Checkpoints, group: Group
) -> TrainedNetwork:
    width = config.pipeline.splice_left + 1 + config.pipeline.splice_right
    normalisation = corpus.normalisation
    shape = NetworkShape(config.network, normalisation.dim * width, width, corpus.tree.num_pdfs)
    spliced, device = normalisation.spliced(width), pick_device(config.training.device)
    labelled = corpus.labelled
    training, heldout = (
        LabelledUtterances(
            corpus.features,
            keys,
            spliced,
            0,
            0,
            labelled.labels,
            config.training.utterances,
            device,
            labelled.num_frames,
        )
        for keys in (corpus.training, corpus.heldout)
    )
    network = shape.build(options.seed)
    assert isinstance(network, SequenceNetwork)
    last = (options.seed, checkpoints(), options.progress, None, group, CtcObjective(BLANK))
    reports = train_recurrent(network, training, heldout, config.training, *last)
    return TrainedNetwork(network, shape, normalisation, reports)


def _model(corpus: _Corpus, made: TrainedNetwork, config: RecurrentStageConfig, progress: Progress) -> NnetCtc:
    """Return the network with the priors asked for."""
    flat = np.zeros(corpus.tree.num_pdfs, dtype=np.float32)
    model = NnetCtc(corpus.tree, corpus.transitions, made.network, made.shape, made.normalisation, flat)
    if config.ctc_priors == "labels":
        counts = corpus.labelled.counts(corpus.tree.num_pdfs)
    else:
        counts = _occupancies(model, corpus, progress)
    priors = log_priors(counts, config.prior_smoothing)
    return NnetCtc(corpus.tree, corpus.transitions, made.network, made.shape, made.normalisation, priors)


def _occupancies(model: NnetCtc, corpus: _Corpus, progress: Progress) -> NDArray[np.float64]:
    """Return the sums of the posteriors over all frames of the training utterances."""
    total = np.zeros(corpus.tree.num_pdfs)
    for key in progress(corpus.training, total=len(corpus.training), label="priors"):
        total += np.exp(model.log_posteriors(corpus.features[key]).astype(np.float64)).sum(axis=0)
    return total

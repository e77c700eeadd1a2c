"""Models of sequences, of whatever data: trained from the start or from where a killed run stopped, and scored."""

from __future__ import annotations

from typing import Any

from asrkit.nnet.device import pick_device
from asrkit.nnet.draws import Draws
from asrkit.nnet.energy.recurrence import ConditionalModel
from asrkit.nnet.energy.sequence_batches import Sequences
from asrkit.nnet.energy.sequence_file import new_model
from asrkit.nnet.energy.sequence_scores import Listener, score_sequences
from asrkit.nnet.energy.sequence_training import SequenceTrainer, Variation, begin_with_means, pretrain_rbm
from asrkit.nnet.train.checkpoint import CheckpointStore
from asrkit.stages.music_config import TrainRnnNadeConfig, TrainRnnRbmConfig, TrainRtrbmConfig
from asrkit.stages.record import RunOptions

StageConfig = TrainRnnRbmConfig | TrainRtrbmConfig | TrainRnnNadeConfig


def fit_model(
    kind: str,
    num_visible: int,
    training: Sequences,
    held_out: Sequences,
    config: StageConfig,
    options: RunOptions,
    store: CheckpointStore,
    pretraining: Sequences | None = None,
    vary: Variation | None = None,
) -> tuple[ConditionalModel, list[dict[str, Any]]]:
    """Return a trained model, and a row an epoch.

    Parameters
    ----------
    kind : {'rnn-rbm', 'rtrbm', 'rnn-nade'}
    num_visible : int
        V of the sequences, (T, V) each.
    held_out : Sequences
        By which training ends.
    pretraining : Sequences, optional
        Those of ``training`` that a model of RBMs begins with; all.
    vary : callable, optional
        See :meth:`~asrkit.nnet.energy.sequence_training.SequenceTrainer.train`.
    """
    device = pick_device(config.training.device)
    model = new_model(kind, num_visible, config.model, Draws(options.seed, "sequence model")).to(device)
    trainer = SequenceTrainer(model, config.training, options.seed, store)
    if not trainer.resume():
        if isinstance(config, TrainRnnNadeConfig):
            begin_with_means(model, training)
        else:
            begins = training if pretraining is None else pretraining
            epochs, cd = config.pretraining_epochs, config.pretraining
            pretrain_rbm(model, begins, epochs, cd, options.seed, options.progress)
    trainer.train(training, held_out, options.progress, vary)
    return model, trainer.history


def score_model(
    model: ConditionalModel, sequences: Sequences, config: StageConfig, options: RunOptions, listener: Listener
) -> dict[str, Any]:
    """Return the log-likelihood a step of sequences, and how it was found, for a report.

    Parameters
    ----------
    listener : callable
        See :func:`~asrkit.nnet.energy.sequence_scores.score_sequences`.
    """
    draws = Draws(options.seed, "sequence score", device=model.weights.device)
    steps = config.scored_steps
    score = score_sequences(model, sequences, config.prediction, draws, steps, listener, options.progress)
    exact = isinstance(config, TrainRnnNadeConfig)
    estimator = "exact" if exact else f"AIS, {config.prediction.ais_runs} runs a step"
    figures: dict[str, Any] = {"log_likelihood": round(score.log_likelihood, 4), "estimator": estimator}
    if not exact:
        figures |= {"standard_error": round(score.error, 5), "expected_excess": round(score.excess, 4)}
    return figures | {
        "least_log_likelihood": round(score.least, 2),
        "scored_steps": score.num_steps,
        "parameters": sum(value.numel() for value in model.parameters()),
    }

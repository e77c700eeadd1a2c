"""From a model and its alignments to a new context tree and the first model on it: the start of every later rung."""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from asrkit.core.errors import ModelError
from asrkit.core.jobs import chunks, map_in_order
from asrkit.features.pipeline import ModelInputs
from asrkit.gmm.diag import DiagGmms
from asrkit.gmm.em import EmConfig, EmState, boost_silence
from asrkit.gmm.model import GmmHmm
from asrkit.gmm.training import UTTERANCES_AT_ONCE, viterbi_pass
from asrkit.hmm.convert_alignment import convert_alignment
from asrkit.hmm.questions import automatic_questions, make_questions, read_questions, symbol_questions
from asrkit.hmm.roots import RootConfig, make_roots, phone_sets
from asrkit.hmm.transitions import TransitionModel
from asrkit.hmm.tree import ContextTree
from asrkit.hmm.tree_building import TreeConfig, build_tree
from asrkit.hmm.tree_report import TreeReport
from asrkit.hmm.tree_stats import TreeStats, accumulate_tree_stats, leaf_stats
from asrkit.lang.langdir import Lang
from asrkit.stages.acoustic import AcousticModel, model_files
from asrkit.stages.adaptation import AdaptationConfig, align_adapted
from asrkit.stages.gmm_training import Corpus, all_failures, training_data, training_inputs
from asrkit.stages.record import RunOptions, check_failures

log = logging.getLogger("asrkit")

REALIGN_ITERS = (10, 20, 30)
"""Iterations that align anew in every rung above the monophones, Kaldi's."""

FIRST_VARIANCE_FLOOR = 0.01
"""Of the single Gaussians that a new tree starts with (Kaldi's gmm-init-model)."""


@dataclass(frozen=True)
class QuestionConfig:
    """Which phones the tree may ask about.

    Attributes
    ----------
    file : str or None
        Hand-written questions, one set of phone symbols a line; None: found by clustering the phones.
    pdf_classes : tuple of int
        HMM positions by which the clustering compares phones; Kaldi's is (1,).
    """

    file: str | None = None
    pdf_classes: tuple[int, ...] = (0, 1, 2)


@dataclass(frozen=True)
class ContextConfig:
    """How the context tree of a model is built."""

    tree: TreeConfig = field(default_factory=TreeConfig)
    questions: QuestionConfig = field(default_factory=QuestionConfig)
    roots: RootConfig = field(default_factory=RootConfig)


def align_corpus(previous: AcousticModel, corpus: Corpus, config: EmConfig, options: RunOptions) -> EmState:
    """Align the corpus with a finished model, a speaker-adaptive one in its two passes.

    The state holds alignments and failures, nothing else that a training could go on from.

    Raises
    ------
    ModelError
        The model belongs to another lang directory.
    TooManyFailedError
        Too many utterances could not be aligned.
    """
    state = _align_corpus(previous, corpus, config, options)
    check_failures(all_failures(corpus, state), corpus.num_utterances, options, corpus.data_dir.path)
    return state


def _align_corpus(previous: AcousticModel, corpus: Corpus, config: EmConfig, options: RunOptions) -> EmState:
    check_same_lang(previous, corpus.lang)
    inputs = previous.inputs(corpus.data_dir)
    data = training_data(corpus.with_features(inputs), previous.tree, previous.transitions, options.progress)
    model = previous.mixtures
    if model.is_speaker_adaptive:
        silence, progress = corpus.lang.silence_phones, options.progress
        found = align_adapted(model, inputs, data, silence, config, AdaptationConfig(), options.num_jobs, progress)
        return EmState(0, model, dict(found.alignments), dict(found.failures))
    boosted = boost_silence(model, corpus.lang.silence_phones, config.boost_silence)
    result = viterbi_pass(model, data, None, config.search, config.scales, boosted, options.num_jobs, options.progress)
    return EmState(0, model, result.alignments, result.failures)


def start_on_new_tree(
    previous: TransitionModel,
    alignments: Mapping[str, NDArray[np.int32]],
    inputs: ModelInputs,
    corpus: Corpus,
    config: ContextConfig,
    options: RunOptions,
    input_transform: NDArray[np.float32] | None = None,
) -> tuple[EmState, TreeReport]:
    """Build a tree from aligned inputs, one Gaussian a leaf, and say the alignments in the new model's transition ids.

    Parameters
    ----------
    previous : TransitionModel
        Of the model whose transition ids the alignments hold.
    inputs : ModelInputs
        What the new model will see.
    input_transform : float32, optional
        Kept in the new model (see :class:`GmmHmm`).

    Returns
    -------
    EmState
        After "iteration" 1: ready for :func:`asrkit.gmm.em.em_iterations`.
    TreeReport
    """
    lang = corpus.lang
    stats = tree_stats(previous, alignments, inputs, lang.silence_phones, config.tree, options)
    sets = phone_sets(lang, config.roots)
    asked = phone_questions(config.questions, stats, lang, sets)
    questions = make_questions(asked, lang.topology, config.tree.context_width)
    roots = make_roots(sets, lang.silence_phones, config.roots.states)
    tree, report = build_tree(stats, lang.topology, config.tree, questions, roots)
    transitions = TransitionModel.from_tree(tree, lang.topology)
    model = GmmHmm(tree, transitions, first_gaussians(stats, tree), input_transform)
    job = functools.partial(convert_alignment, previous, transitions, tree)
    converted = {key: job(alignment) for key, alignment in sorted(alignments.items())}
    return EmState(1, model, converted), report


def say_tree(report: TreeReport, out: Path) -> None:
    """Log what a tree came to, and write it beside the model."""
    log.info("tree: %d leaves, %.3f nats a frame gained", report.num_leaves, report.gain)
    report.save(out / "tree-report.json")


def rung_inputs(data_path: Path, lang_path: Path, previous: Path, context: ContextConfig) -> list[Path]:
    """Return the files that decide the result of a training that starts from an earlier model."""
    questions = [] if context.questions.file is None else [Path(context.questions.file)]
    return [*training_inputs(data_path, lang_path), *model_files(previous), *questions]


def tree_stats(
    transitions: TransitionModel,
    alignments: Mapping[str, NDArray[np.int32]],
    inputs: Mapping[str, NDArray[np.float32]],
    silence_phones: Sequence[int],
    config: TreeConfig,
    options: RunOptions,
) -> TreeStats:
    """Sum the statistics of all aligned utterances, in the order of their ids."""
    if not alignments:
        raise ModelError("no utterance is aligned", remedy="see the failures of the alignment")
    pieces = chunks(sorted(alignments), UTTERANCES_AT_ONCE)
    job = functools.partial(_stats_chunk, transitions, alignments, inputs, tuple(silence_phones), config)
    results = map_in_order(job, pieces, options.num_jobs, kind="threads")
    return TreeStats.sum(options.progress(results, total=len(pieces), label="tree statistics"))


def _stats_chunk(
    transitions: TransitionModel,
    alignments: Mapping[str, NDArray[np.int32]],
    inputs: Mapping[str, NDArray[np.float32]],
    silence_phones: tuple[int, ...],
    config: TreeConfig,
    keys: Sequence[str],
) -> TreeStats:
    width, central = config.context_width, config.central_position
    return TreeStats.sum(
        accumulate_tree_stats(transitions, alignments[key], inputs[key], width, central, silence_phones) for key in keys
    )


def phone_questions(
    config: QuestionConfig, stats: TreeStats, lang: Lang, sets: Sequence[tuple[int, ...]]
) -> list[frozenset[int]]:
    """Return the phones to ask about: hand-written sets, or clusters of ``sets`` and those of stress and position."""
    phones = {symbol: phone for symbol, phone in lang.phones.ids.items() if phone in set(lang.topology.phones)}
    if config.file is not None:
        return read_questions(Path(config.file), phones)
    found = automatic_questions(stats, sets, lang.topology, config.pdf_classes)
    return [*found, *symbol_questions(phones)]


def first_gaussians(stats: TreeStats, tree: ContextTree) -> DiagGmms:
    """Return one Gaussian a leaf, fitted to its frames (Kaldi's gmm-init-model)."""
    counts, sums, squares = leaf_stats(stats, tree)
    means = sums / counts[:, None]
    variances = np.maximum(squares / counts[:, None] - means**2, FIRST_VARIANCE_FLOOR)
    return DiagGmms(
        np.ones(len(counts), np.float32),
        means.astype(np.float32),
        variances.astype(np.float32),
        np.arange(len(counts) + 1, dtype=np.int32),
    )


def check_same_lang(previous: AcousticModel, lang: Lang) -> None:
    """Raise :class:`ModelError` when a model's phones are not those of the lang directory."""
    if previous.transitions.topology != lang.topology:
        raise ModelError(
            "the model was trained with another lang directory (its topology differs)",
            where=previous.path,
            remedy="use the lang directory of the model",
        )

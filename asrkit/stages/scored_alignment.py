"""Aligning the training data with whatever gives the log-likelihoods of a finished model, a network for one."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from asrkit.core.jobs import chunks, map_in_order
from asrkit.gmm.training import NOT_FINITE, TrainingData
from asrkit.hmm.scorer import PdfScorer
from asrkit.hmm.transitions import TransitionModel
from asrkit.hmm.viterbi import AlignConfig, NoPath, align
from asrkit.stages.acoustic import AcousticModel
from asrkit.stages.gmm_training import Corpus, training_data
from asrkit.stages.record import RunOptions
from asrkit.stages.tree_stage import check_same_lang

UTTERANCES_AT_ONCE = 16
"""Utterances of one piece of work; no result depends on it."""

Alignments = dict[str, NDArray[np.int32]]
Logprobs = NDArray[np.float32]


def align_scored(
    model: AcousticModel, corpus: Corpus, search: AlignConfig, label_logprob: Logprobs, options: RunOptions
) -> tuple[Alignments, dict[str, str]]:
    """Align the corpus, whose features are the model's inputs, with the loglikes of a finished model.

    Parameters
    ----------
    label_logprob : (num_transition_ids + 1,) float32
        Natural log of the weight of each transition_id.

    Returns
    -------
    alignments : dict of str to (T,) int32
        transition_ids.
    failures : dict of str to str
        The other utterances, with the reason.

    Raises
    ------
    ModelError
        The model belongs to another lang directory.
    """
    check_same_lang(model, corpus.lang)
    data = training_data(corpus, model.tree, model.transitions, options.progress)
    pieces = chunks(data.utterance_ids, UTTERANCES_AT_ONCE)
    job = functools.partial(_align_some, model.model, model.transitions, data, search, label_logprob)
    results = map_in_order(job, pieces, options.num_jobs, kind="threads")
    alignments: Alignments = {}
    failures: dict[str, str] = {}
    for found, reasons in options.progress(results, total=len(pieces), label="align"):
        alignments |= found
        failures |= reasons
    return alignments, failures


def _align_some(
    scorer: PdfScorer,
    transitions: TransitionModel,
    data: TrainingData,
    search: AlignConfig,
    label_logprob: Logprobs,
    keys: Sequence[str],
) -> tuple[Alignments, dict[str, str]]:
    alignments: Alignments = {}
    failures: dict[str, str] = {}
    for key in keys:
        features, graph = data.features[key], data.graphs[key]
        if not np.isfinite(features).all():
            failures[key] = NOT_FINITE
            continue
        pdf_ids, columns = transitions.pdf_columns(graph.arc_label)
        found = align(graph, columns, label_logprob, scorer.loglikes(features, pdf_ids), search)
        if isinstance(found, NoPath):
            failures[key] = found.reason
        else:
            alignments[key] = found.labels
    return alignments, failures

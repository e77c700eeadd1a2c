"""Lattice-free MMI: what was said against all that a phone n-gram could say, summed over whole utterances.

D. Povey et al., "Purely sequence-trained neural networks for ASR based on lattice-free MMI" (2016). Here it works at
the frame rate of the features and with the HMMs of the model at hand, whatever their topology and tree; a network
that was trained by cross-entropy is what it starts from. A constant added to all loglikes of a frame changes nothing,
so it is the same whether raw outputs or log posteriors are taken; priors are where the biases start from.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asrkit.core.errors import ModelError
from asrkit.graph.training import PhoneGraph, TrainingGraphCompiler
from asrkit.hmm.forward_backward import forward_backward
from asrkit.hmm.segments import cut_phones
from asrkit.hmm.state_graph import StateGraph
from asrkit.hmm.transitions import TransitionModel
from asrkit.hmm.viterbi import NoPath
from asrkit.nnet.sequence.config import LfmmiConfig
from asrkit.nnet.sequence.criterion import Evaluation, Loglikes
from asrkit.nnet.sequence.denominator import DenominatorGraph
from asrkit.nnet.sequence.phone_lm import PhoneLm, estimate_phone_lm, linear_graph

IntArray = NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Numerator:
    """The paths of what was said in an utterance of T frames.

    Attributes
    ----------
    graph : StateGraph
        Labels are transition_ids; weights those of the phone n-gram.
    pdf_ids : (U,) int32
        The pdfs of the graph, 0-based.
    arc_column : (A,) int32
        Place among ``pdf_ids`` of each arc's pdf.
    allowed : (T, U) bool or None
        Which pdfs a frame may have; None: all.
    """

    graph: StateGraph
    pdf_ids: IntArray
    arc_column: IntArray
    allowed: NDArray[np.bool_] | None

    def sum_paths(
        self, loglikes: Loglikes, label_logprob: NDArray[np.float64], acoustic_scale: float
    ) -> tuple[float, NDArray[np.float32]]:
        """Return the log of the summed weight of all paths, and the posteriors (T, U) of the pdfs."""
        own = np.ascontiguousarray(loglikes[:, self.pdf_ids], dtype=np.float32)
        if self.allowed is not None:
            if len(self.allowed) != len(own):
                raise ModelError(f"a reference of {len(self.allowed)} frames, and features of {len(own)}")
            own[~self.allowed] = -np.inf
        weights = self.graph.arc_logprob + label_logprob[self.graph.arc_label]
        found = forward_backward(self.graph, self.arc_column, weights, own, None, acoustic_scale)
        if isinstance(found, NoPath):
            raise ModelError(found.reason)
        return found.log_likelihood, found.pdf_posteriors


class LfmmiCriterion:
    """The log posterior of what was said among all that could be said, of each utterance that has an alignment.

    Its derivative is ``acoustic_scale * (numerator - denominator posterior)`` of each pdf at each frame.

    Parameters
    ----------
    alignments : mapping of str to (T,) int32
        transition_ids of every utterance; their phones make the n-gram.
    compiler : TrainingGraphCompiler
        Of the model's tree and transitions.
    config : LfmmiConfig
    transcripts : callable, optional
        utterance_id -> word ids, for ``config.numerator = 'transcript'``.

    Attributes
    ----------
    lm : PhoneLm
    denominator : DenominatorGraph
    """

    ceiling = 0.0

    def __init__(
        self,
        alignments: Mapping[str, IntArray],
        compiler: TrainingGraphCompiler,
        config: LfmmiConfig,
        transcripts: Callable[[str], Iterable[int]] | None = None,
    ) -> None:
        transitions = compiler.transitions
        self._alignments, self._compiler, self._config, self._transcripts = alignments, compiler, config, transcripts
        self._log_probs = transitions.scaled_log_probs(config.transition_scale, config.self_loop_scale).astype(
            np.float64
        )
        self.lm: PhoneLm = estimate_phone_lm(
            (cut_phones(transitions, alignments[key]).phones.tolist() for key in sorted(alignments)), config.lm
        )
        graph = compiler.expand(self.lm.phone_graph())
        self.denominator = DenominatorGraph.of(graph, transitions, self._log_probs, config.leaky)

    def __call__(self, utterance_id: str, loglikes: Loglikes, /) -> Evaluation:
        """See :class:`asrkit.nnet.sequence.criterion.Criterion`."""
        numerator, scale = self._numerator(utterance_id), self._config.acoustic_scale
        said, posteriors = numerator.sum_paths(loglikes, self._log_probs, scale)
        everything = self.denominator.sum_paths(loglikes, scale)
        derivative = -everything.derivative
        derivative[:, numerator.pdf_ids] += np.float32(scale) * posteriors
        return Evaluation(said - everything.value, derivative)

    def _numerator(self, utterance_id: str) -> Numerator:
        """Return the numerator, made anew each time: that takes a tenth of the sums over the denominator's paths."""
        tids = self._alignments[utterance_id]
        if self._config.numerator == "alignment":
            phones = cut_phones(self._compiler.transitions, tids)
            own = self.lm.restricted(linear_graph(phones.phones.tolist()))
            return self._make(own, tids, self._config.tolerance)
        assert self._transcripts is not None
        said = self._compiler.phone_graph(self._transcripts(utterance_id))
        return self._make(self.lm.restricted(said), tids, None)

    def _make(self, phones: PhoneGraph, tids: IntArray, tolerance: int | None) -> Numerator:
        graph, transitions = self._compiler.expand(phones), self._compiler.transitions
        pdf_ids, columns = transitions.pdf_columns(graph.arc_label)
        allowed = None if tolerance is None else _allowed(transitions, tids, columns, len(pdf_ids), tolerance)
        return Numerator(graph, pdf_ids, columns[graph.arc_label], allowed)


def _allowed(
    transitions: TransitionModel, tids: IntArray, columns: IntArray, num_columns: int, tolerance: int
) -> NDArray[np.bool_]:
    """Return which pdfs a frame may have: those of the phones that the alignment has within ``tolerance`` frames."""
    allowed = np.zeros((len(tids), num_columns), dtype=np.bool_)
    bounds = cut_phones(transitions, tids).bounds.tolist()
    for first, end in itertools.pairwise(bounds):
        own = np.unique(columns[tids[first:end]])
        allowed[max(0, first - tolerance) : end + tolerance, own] = True
    return allowed

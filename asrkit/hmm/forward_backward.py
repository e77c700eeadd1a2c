"""Forward-backward over a state graph: what every arc and every pdf has a share in, frame by frame."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asrkit.core.errors import ModelError
from asrkit.hmm.state_graph import StateGraph
from asrkit.hmm.viterbi import NoPath, check_arguments, explain_failure, fault_of


@dataclass(frozen=True, eq=False)
class Posteriors:
    """Expected counts of an utterance under all paths through its graph.

    Attributes
    ----------
    log_likelihood : float
        Natural log of the summed weight of all paths of T frames.
    arc_occupancy : (A,) float64
        Expected number of times each arc is taken; sums to T.
    pdf_ids : (U,) int32
        The distinct pdfs (0-based columns of the log-likelihoods) of the graph, ascending.
    pdf_posteriors : (T, U) float32
        Probability that frame t is emitted by pdf ``pdf_ids[u]``; each row sums to 1.
    """

    log_likelihood: float
    arc_occupancy: NDArray[np.float64]
    pdf_ids: NDArray[np.int32]
    pdf_posteriors: NDArray[np.float32]

    @property
    def num_frames(self) -> int:
        """T."""
        return len(self.pdf_posteriors)


def forward_backward(
    graph: StateGraph,
    arc_pdf: NDArray[np.int32],
    arc_logprob: NDArray[np.floating[Any]],
    loglikes: NDArray[np.float32],
    beam: float | None = None,
    acoustic_scale: float = 1.0,
) -> Posteriors | NoPath:
    """Sum over all paths of T arcs (Rabiner 1989, eqs. 18-37, in the log domain with float64 accumulators).

    Memory is 12 bytes for each state that is active before a frame, and the (T, U) posteriors.

    Parameters
    ----------
    graph : StateGraph
        S states, A arcs.
    arc_pdf : (A,) int32
        0-based column of ``loglikes`` that each arc emits with.
    arc_logprob : (A,) float32 or float64
        The whole natural log weight of each arc, transition probability included; takes the place of
        ``graph.arc_logprob``.
    loglikes : (T, P) float32
        Natural log-likelihoods, C-contiguous; -inf is allowed.
    beam : float, optional
        States whose forward score is this far below the best one of the frame are dropped; none: exact.
    acoustic_scale : float
        Factor of ``loglikes``.

    Returns
    -------
    Posteriors or NoPath
        ``NoPath`` names the reason why the summed weight is zero.

    Raises
    ------
    ModelError
        Arrays of other shapes or dtypes, or NaN or +inf among the log-likelihoods.
    """
    from asrkit.hmm.kernels import backward_kernel, forward_kernel

    check_arguments(graph, arc_pdf, arc_logprob, loglikes)
    fault = fault_of(loglikes)
    if fault:
        raise ModelError(fault)
    if beam is not None and not beam > 0:
        raise ModelError(f"beam is {beam}, expected above 0")
    weights = np.ascontiguousarray(arc_logprob, dtype=np.float64)
    arrays = (graph.arc_begin, graph.arc_dst, arc_pdf, weights, graph.initial_logprob)
    reach = math.inf if beam is None else float(beam)
    row_begin, states, alpha, offset = forward_kernel(*arrays, loglikes, acoustic_scale, reach)
    last = slice(row_begin[-2], row_begin[-1])
    log_norm = _log_sum(alpha[last] + graph.final_logprob[states[last]])
    if len(loglikes) == 0 or log_norm == -math.inf:
        reason = explain_failure(graph, arc_pdf, loglikes)
        return NoPath(reason if beam is None else f"{reason} (within a beam of {beam:g})")
    pdf_ids, arc_unit = np.unique(arc_pdf, return_inverse=True)
    occupancy = np.zeros(graph.num_arcs)
    posteriors = np.empty((len(loglikes), len(pdf_ids)), dtype=np.float32)
    backward_kernel(
        *arrays,
        graph.final_logprob,
        loglikes,
        acoustic_scale,
        log_norm,
        row_begin,
        states,
        alpha,
        offset,
        arc_unit.astype(np.int32),
        occupancy,
        posteriors,
    )
    return Posteriors(math.fsum(offset) + log_norm, occupancy, pdf_ids, posteriors)


def _log_sum(values: NDArray[np.float64]) -> float:
    if len(values) == 0:
        return -math.inf
    peak = float(values.max())
    return peak if peak == -math.inf else peak + math.log(float(np.exp(values - peak).sum()))

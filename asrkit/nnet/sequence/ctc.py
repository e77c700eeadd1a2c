"""Connectionist temporal classification: the labels of an utterance, wherever in it they may be.

A. Graves, S. Fernández, F. Gomez, J. Schmidhuber, "Connectionist temporal classification" (2006). A network says of
each frame a label, or nothing: the blank. What it says of an utterance is the sequence that is left when labels that
follow each other are taken once, and then the blanks are taken out. The loss of an utterance is minus the log of the
probability of its labels, summed over all ways to say them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from rapidfuzz.distance import Levenshtein
from torch.nn import functional

from asrkit.nnet.layers.packing import Packing
from asrkit.nnet.train.epochs import Sums
from asrkit.nnet.train.utterances import UtteranceBatch

Labels = NDArray[np.int32]


class CtcObjective:
    """The loss of connectionist temporal classification, as :class:`asrkit.nnet.train.recurrent.Objective`.

    Of the labels reported as right the edits are taken off that the network's best labels need, so an accuracy is one
    less their error rate.

    Parameters
    ----------
    blank : int
        The output that says nothing, 0-based.
    """

    def __init__(self, blank: int) -> None:
        self.blank = blank

    def __call__(self, scores: torch.Tensor, batch: UtteranceBatch, sums: Sums, /) -> torch.Tensor:
        """Return the loss of a minibatch, and add what is reported to the sums."""
        losses = ctc_losses(scores, batch.packing, batch.targets, self.blank)
        wanted = [row[row >= 0].tolist() for row in batch.targets.cpu().numpy()]
        found = best_labels(scores.detach(), batch.packing, self.blank)
        edits = sum(Levenshtein.distance(one, two.tolist()) for one, two in zip(wanted, found, strict=True))
        num_labels = sum(map(len, wanted))
        sums.count(len(scores), num_labels, losses, num_labels - edits)
        return losses.sum()


def ctc_losses(scores: torch.Tensor, packing: Packing, labels: torch.Tensor, blank: int) -> torch.Tensor:
    """Return minus the log of the probability of each utterance's labels, (B,); +inf where they do not fit into it.

    Parameters
    ----------
    scores : (N, num_outputs)
        Softmax not taken, packed.
    labels : (B, L) int64
        0-based, none of them the blank; -1 behind the last of each.
    """
    log_probs = packing.pad(functional.log_softmax(scores, dim=1))
    lengths = torch.tensor(packing.lengths)
    return functional.ctc_loss(
        log_probs, labels.clamp(min=0), lengths, (labels >= 0).sum(dim=1).cpu(), blank, reduction="none"
    )


def best_labels(scores: torch.Tensor, packing: Packing, blank: int) -> list[Labels]:
    """Return the labels that the best output of each frame makes together, of each utterance.

    The probability of a sequence is spread over many ways to say it, so these need not be the most probable labels.
    """
    best = packing.unpack(scores.argmax(dim=1)).cpu().numpy().astype(np.int32)
    return [collapsed(frames, blank) for frames in np.split(best, np.cumsum(packing.lengths)[:-1])]


def collapsed(frames: Labels, blank: int) -> Labels:
    """Return the labels that are left of the outputs of all frames, (T,) int32."""
    changes = np.ones(len(frames), dtype=np.bool_)
    changes[1:] = frames[1:] != frames[:-1]
    return frames[changes & (frames != blank)]


def frames_needed(labels: Sequence[int] | Labels) -> int:
    """Return the fewest frames in which labels can be said: one each, and a blank between two that are the same."""
    one = np.asarray(labels)
    return len(one) + int((one[1:] == one[:-1]).sum())

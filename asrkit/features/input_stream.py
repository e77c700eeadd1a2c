"""A model's inputs from live audio: the front end and the pipeline, frame by frame as soon as each can be known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from asrkit.features.deltas import add_deltas
from asrkit.features.frontend import FeatureStream
from asrkit.features.online_cmvn import OnlineCmvn
from asrkit.features.pipeline import PipelineConfig
from asrkit.features.splice import splice
from asrkit.features.transform import apply_affine

Rows = NDArray[np.float32]

_TILE = 16
"""Rows of one product with the transform. A row keeps its place in its tile, and so its bits, in any block."""


class InputStream:
    """Takes samples and gives the inputs of a model: features, online CMVN, deltas, splicing, thinning, transform.

    Apart from the normalisation the rows are those of :class:`asrkit.features.pipeline.FeaturePipeline`, and blocks
    of any size give the same bits. A row comes when the frames that its deltas and splicing need have come.

    Parameters
    ----------
    features : FeatureStream
    config : PipelineConfig
        Its ``cmvn`` and what belongs to it are not used.
    cmvn : OnlineCmvn, optional
        None where the model does not normalise.
    transform : (E, D) float32, optional
        A linear transform of the pipeline's output (LDA and MLLT).
    """

    def __init__(
        self,
        features: FeatureStream,
        config: PipelineConfig,
        cmvn: OnlineCmvn | None = None,
        transform: NDArray[np.float32] | None = None,
    ) -> None:
        self._features, self.cmvn, self._transform = features, cmvn, transform
        order, window = config.delta_order, config.delta_window
        left, right = config.splice_left, config.splice_right
        self._contexts = [
            _Context(order * window, order * window, lambda rows: add_deltas(rows, order, window)),
            _Context(left, right, lambda rows: splice(rows, left, right)),
        ]
        self._num_rows = 0
        self._keep_every, self._next_kept = config.keep_every, 0  # rows to leave out before the next one kept

    def push(self, samples: Rows) -> Rows:
        """Take (n,) float32 samples in the int16 range; return the rows that are ready, (T, dim) float32."""
        rows = self._normalised(self._features.push(samples))
        for context in self._contexts:
            rows = context.push(rows)
        return self._transformed(self._thinned(rows))

    def finish(self) -> Rows:
        """Return the rows that were waiting for the end."""
        rows = self._normalised(self._features.finish())
        for context in self._contexts:
            rows = np.concatenate([context.push(rows), context.finish()])
        return self._transformed(self._thinned(rows))

    def _thinned(self, rows: Rows) -> Rows:
        kept = rows[self._next_kept :: self._keep_every]
        self._next_kept = (self._next_kept - len(rows)) % self._keep_every
        return kept

    def _normalised(self, rows: Rows) -> Rows:
        return rows if self.cmvn is None else self.cmvn.push(rows)

    def _transformed(self, rows: Rows) -> Rows:
        if self._transform is None:
            return rows
        place = self._num_rows % _TILE
        self._num_rows += len(rows)
        end = -(-(place + len(rows)) // _TILE) * _TILE
        padded = np.zeros((end, rows.shape[1]), dtype=np.float32)
        padded[place : place + len(rows)] = rows
        tiles = [apply_affine(padded[start : start + _TILE], self._transform) for start in range(0, end, _TILE)]
        whole = np.concatenate([np.empty((0, len(self._transform)), dtype=np.float32), *tiles])
        return whole[place : place + len(rows)]


class _Context:
    """Applies a function whose row t depends on rows t - left to t + right; at the ends it sees what is there."""

    def __init__(self, left: int, right: int, function: Callable[[Rows], Rows]) -> None:
        self._left, self._right, self._function = left, right, function
        self._rows: Rows | None = None
        self._next = 0  # index in self._rows of the next row to give

    def push(self, rows: Rows) -> Rows:
        self._rows = rows if self._rows is None else np.concatenate([self._rows, rows])
        return self._give(len(self._rows) - self._right)

    def finish(self) -> Rows:
        assert self._rows is not None
        return self._give(len(self._rows))

    def _give(self, end: int) -> Rows:
        assert self._rows is not None
        end = max(end, self._next)
        given = self._function(self._rows)[self._next : end]
        drop = max(0, end - self._left)
        self._rows, self._next = self._rows[drop:], end - drop
        return given

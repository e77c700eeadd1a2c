"""The weights of a training under its schedule: those it has come to, and those it falls back on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from numpy.typing import NDArray

from asrkit.core.errors import ModelError
from asrkit.nnet.network import Network, load_arrays, to_arrays
from asrkit.nnet.train.checkpoint import Arrays, Snapshot, with_prefix, without_prefix
from asrkit.nnet.train.newbob import Newbob, NewbobConfig
from asrkit.nnet.train.optimiser import Optimiser

BEST, NOW = "best.", "now."
NETWORK, OPTIMISER = "network.", "optimiser."


class ScheduledWeights:
    """A network and its optimiser, with the best that held-out data have said of them.

    Parameters
    ----------
    network : Network
        Where it is trained; changed in place.
    optimiser : Optimiser
        Of its parameters.
    config : NewbobConfig

    Attributes
    ----------
    newbob : Newbob
        The state of the schedule, from :meth:`begin` or :meth:`load` on.
    """

    def __init__(self, network: Network, optimiser: Optimiser, config: NewbobConfig) -> None:
        self.network, self.optimiser, self._config = network, optimiser, config

    def begin(self, loss: float) -> None:
        """Start from the weights that are there, whose held-out loss this is."""
        self.newbob = Newbob(self._config, loss)
        self._best = self._arrays()

    def start_epoch(self) -> int:
        """Give the optimiser the rate of the coming epoch; return its number, 0-based."""
        self.optimiser.rate_factor = self.newbob.rate_factor
        return self.newbob.epoch

    def end_epoch(self, loss: float) -> None:
        """Keep the weights, or go back to those before the epoch, as the schedule decides by the held-out loss."""
        self.newbob = self.newbob.after(loss)
        if self.newbob.accepted:
            self._best = self._arrays()
        else:
            self.go_back()

    def end(self) -> None:
        """End with the weights kept.

        Raises
        ------
        ModelError
            No epoch's weights were kept, and the last one diverged.
        """
        if self.newbob.diverged and not self.newbob.num_accepted:
            raise ModelError(
                f"the training diverges: none of {self.newbob.epoch} epochs ended with a finite loss",
                remedy="--set training.optimiser.learning_rate to a tenth, or give training.optimiser.clip",
            )
        self.go_back()

    def go_back(self) -> None:
        """Return to the weights kept, and to what the optimiser then remembered."""
        self._restore(self._best)

    def snapshot(self, described: Mapping[str, Any]) -> Snapshot:
        """Return all of this beside what else is ``described`` of the training; JSON-serialisable."""
        newbob = {name: value for name, value in asdict(self.newbob).items() if name != "config"}
        arrays = with_prefix(BEST, self._best) | with_prefix(NOW, self._arrays())
        return Snapshot(arrays, {**described, "newbob": newbob})

    def load(self, snapshot: Snapshot) -> None:
        """Go back to a snapshot."""
        self.newbob = Newbob(self._config, **snapshot.progress["newbob"])
        self._best = without_prefix(BEST, snapshot.arrays)
        self._restore(without_prefix(NOW, snapshot.arrays))

    def _arrays(self) -> dict[str, NDArray[Any]]:
        """Return the weights and what the optimiser remembers, copied."""
        named = with_prefix(NETWORK, to_arrays(self.network)) | with_prefix(OPTIMISER, self.optimiser.to_arrays())
        return {name: array.copy() for name, array in named.items()}

    def _restore(self, arrays: Arrays) -> None:
        load_arrays(self.network, without_prefix(NETWORK, arrays), "checkpoint")
        self.optimiser.load_arrays(without_prefix(OPTIMISER, arrays))

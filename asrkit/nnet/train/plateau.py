"""When to take smaller steps and when to stop: after some epochs that held-out data gained nothing from."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from asrkit.core.errors import ConfigError


@dataclass(frozen=True)
class PlateauConfig:
    """A rule for noisy losses, which one bad epoch does not end.

    Attributes
    ----------
    max_epochs : int
        Stop after so many.
    patience : int
        Epochs without a new least loss after which training goes back to the best weights with a lower rate.
    factor : float
        What the rate is multiplied by.
    num_reductions : int
        How often; the next time that patience ends, so does training.
    decay : float
        What the rate is multiplied by after each epoch, whatever its loss; 1: it stays.
    """

    max_epochs: int = 200
    patience: int = 5
    factor: float = 0.3
    num_reductions: int = 2
    decay: float = 1.0

    def __post_init__(self) -> None:
        if min(self.max_epochs, self.patience) < 1 or self.num_reductions < 0:
            raise ConfigError("max_epochs or patience is below 1, or num_reductions below 0")
        if not 0 < self.factor < 1:
            raise ConfigError(f"factor is {self.factor:g}, expected a number between 0 and 1")
        if not 0 < self.decay <= 1:
            raise ConfigError(f"decay is {self.decay:g}, expected more than 0, and 1 at most")


@dataclass(frozen=True)
class Plateau:
    """The state of the rule; immutable, :meth:`after` returns the next.

    Attributes
    ----------
    loss : float
        Least so far.
    best_epoch : int
        Epoch that had it, counted from 1; 0 before the first.
    epoch : int
        Epochs done.
    waited : int
        Epochs since the best one or since the rate was lowered.
    reductions : int
        How often the rate was lowered.
    improved : bool
        Whether the last epoch is the best.
    goes_back : bool
        Whether the next epoch starts from the best weights.
    stopped : bool
        Whether there is no next epoch.
    """

    config: PlateauConfig
    loss: float = math.inf
    best_epoch: int = 0
    epoch: int = 0
    waited: int = 0
    reductions: int = 0
    improved: bool = False
    goes_back: bool = False
    stopped: bool = False

    @property
    def rate_factor(self) -> float:
        """What the first learning rate is multiplied by in the coming epoch."""
        return float(self.config.factor**self.reductions * self.config.decay**self.epoch)

    def after(self, loss: float) -> Plateau:
        """Return the state after one more epoch, which ended with this held-out loss; one that is not finite is bad."""
        epoch = self.epoch + 1
        out_of_time = epoch >= self.config.max_epochs
        if loss < self.loss:
            return replace(
                self, loss=loss, best_epoch=epoch, epoch=epoch, waited=0, improved=True, goes_back=False,
                stopped=out_of_time,
            )  # fmt: skip
        waited = self.waited + 1
        over = waited >= self.config.patience or not math.isfinite(loss)
        done = over and self.reductions >= self.config.num_reductions
        return replace(
            self,
            epoch=epoch,
            waited=0 if over else waited,
            reductions=self.reductions + (over and not done),
            improved=False,
            goes_back=over,
            stopped=done or out_of_time,
        )

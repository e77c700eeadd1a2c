"""When to take smaller steps and when to stop, by what held-out data say after each epoch (Kaldi nnet1's "newbob")."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from asrkit.core.errors import ConfigError


@dataclass(frozen=True)
class NewbobConfig:
    """The rule of Kaldi's steps/nnet/train_scheduler.sh, with its constants.

    Attributes
    ----------
    max_epochs : int
        Stop after so many.
    min_epochs : int
        Do not stop before.
    keep_rate_epochs : int
        The rate is not lowered, and no epoch rejected, within the first so many.
    start_halving : float
        From an epoch on whose loss falls by less than this share, the rate is lowered after every epoch.
    end_halving : float
        While it is being lowered, an epoch whose loss falls by less than this share is the last.
    factor : float
        What the rate is multiplied by.
    """

    max_epochs: int = 20
    min_epochs: int = 0
    keep_rate_epochs: int = 0
    start_halving: float = 0.01
    end_halving: float = 0.001
    factor: float = 0.5

    def __post_init__(self) -> None:
        if self.max_epochs < 1 or min(self.min_epochs, self.keep_rate_epochs) < 0:
            raise ConfigError("max_epochs is below 1, or min_epochs or keep_rate_epochs below 0")
        if not 0 < self.factor < 1:
            raise ConfigError(f"factor is {self.factor}, expected a number between 0 and 1")


@dataclass(frozen=True)
class Newbob:
    """The state of a schedule; immutable, :meth:`after` returns the next.

    Attributes
    ----------
    config : NewbobConfig
    rate_factor : float
        What the first learning rate is multiplied by in the coming epoch.
    epoch : int
        Epochs done.
    loss : float
        Held-out loss of the weights kept.
    halving : bool
        Whether the rate is being lowered.
    accepted : bool
        Whether the last epoch's weights are kept; if not, the next epoch starts from those before it.
    stopped : bool
        Whether there is no next epoch.
    num_accepted : int
        Epochs whose weights were kept.
    diverged : bool
        Whether the last epoch's loss was not finite.
    """

    config: NewbobConfig
    loss: float
    rate_factor: float = 1.0
    epoch: int = 0
    halving: bool = False
    accepted: bool = True
    stopped: bool = False
    num_accepted: int = 0
    diverged: bool = False

    def after(self, loss: float) -> Newbob:
        """Return the state after one more epoch, which ended with this held-out loss.

        After one that diverged (it is not finite) the next is tried with a lower rate; it says nothing of when to stop.
        """
        config = self.config
        epoch = self.epoch + 1
        accepted = loss < self.loss or (epoch <= config.keep_rate_epochs and math.isfinite(loss))
        after = replace(
            self,
            epoch=epoch,
            accepted=accepted,
            loss=loss if accepted else self.loss,
            num_accepted=self.num_accepted + accepted,
            diverged=not math.isfinite(loss),
        )
        out_of_time = epoch >= config.max_epochs
        if after.diverged:
            return replace(after, rate_factor=self.rate_factor * config.factor, stopped=out_of_time)
        if epoch <= config.keep_rate_epochs:
            return replace(after, stopped=out_of_time)
        gain = (self.loss - loss) / abs(self.loss) if accepted and self.loss else 0.0
        done = self.halving and gain < config.end_halving and epoch > config.min_epochs
        halving = self.halving or gain < config.start_halving
        rate = self.rate_factor * (config.factor if halving else 1.0)
        return replace(after, halving=halving, rate_factor=rate, stopped=done or out_of_time)

"""How likely a stack of RBMs finds frames: annealed importance sampling at the top, the variational bound below."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from asrkit.nnet.draws import Draws
from asrkit.nnet.energy.config import AisConfig
from asrkit.nnet.energy.dbn import Dbn
from asrkit.nnet.energy.partition import estimate_log_partition
from asrkit.nnet.stack import StackLayer

BOUND_SAMPLES = 10
"""Draws from the approximate posterior for each frame."""


@torch.no_grad()
def model_likelihood(
    layers: Sequence[StackLayer], frames: torch.Tensor, config: AisConfig, seed: int
) -> dict[str, float]:
    """Estimate the mean log-likelihood of frames, in nats.

    Parameters
    ----------
    layers : sequence of StackLayer
        A stack of RBMs, or a deep belief network.
    frames : (N, V)
        Normalised, with their neighbours; a Gaussian model gives the density of these.
    seed : int

    Returns
    -------
    dict
        ``log_partition`` of the top RBM with ``log_partition_low`` and ``log_partition_high`` (three standard errors to
        either side, see :class:`~asrkit.nnet.energy.partition.PartitionEstimate`), and ``log_likelihood``: of several
        layers an estimate of its variational lower bound.

    Raises
    ------
    ModelError
        Hidden units are rectified, or a layer is an autoencoder.
    """
    device = frames.device
    dbn = Dbn.of_layers(layers, device)
    states = [frames, *dbn.recognise(frames, Draws(seed, "likelihood", "recognition", device))]
    mean, variance = states[-1].double().mean(dim=0), states[-1].double().var(dim=0, correction=0)
    # A unit that never changes would leave the base model no room.
    variance = torch.where(variance > 0, variance, torch.ones_like(variance))
    estimate = estimate_log_partition(dbn.top, Draws(seed, "likelihood", "AIS", device), config, mean, variance)
    bound = dbn.log_likelihood_bound(
        frames, estimate.log_partition, Draws(seed, "likelihood", "bound", device), BOUND_SAMPLES
    )
    return {
        "log_partition": estimate.log_partition,
        "log_partition_low": estimate.low,
        "log_partition_high": estimate.high,
        "log_likelihood": float(bound.double().mean()),
    }

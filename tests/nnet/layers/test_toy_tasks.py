"""Tasks that recurrent networks must learn, and one that tells memory with gates from memory without."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch.nn import functional

from asrkit.nnet.layers.config import (
    ElmanConfig,
    FullyRecurrentConfig,
    GruConfig,
    LiGruConfig,
    LstmConfig,
    RecurrentConfig,
)
from asrkit.nnet.layers.packing import Packing
from asrkit.nnet.layers.recurrent import FullyRecurrent, Recurrent

BATCH = 24
Draw = Callable[[torch.Generator], tuple[torch.Tensor, torch.Tensor, torch.Tensor]]
"""Gives inputs (T, B, 2), classes (T, B) and which frames count (T, B)."""


def delay(generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Say what was heard three frames ago."""
    bits = torch.randint(0, 2, (15, BATCH), generator=generator)
    counts = torch.ones(15, BATCH, dtype=torch.bool)
    counts[:3] = False
    return torch.stack([2.0 * bits - 1, torch.zeros(15, BATCH)], 2), bits.roll(3, 0), counts


def keep_odd(generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Say whether an odd number of ones was heard so far."""
    bits = torch.randint(0, 2, (6, BATCH), generator=generator)
    return torch.stack([2.0 * bits - 1, torch.zeros(6, BATCH)], 2), bits.cumsum(0) % 2, torch.ones(6, BATCH) > 0


def keep_marked(generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Say at the end what was heard at the marked one of the first frames; what came after is as loud."""
    bits = torch.randint(0, 2, (30, BATCH), generator=generator)
    marks, counts = torch.zeros(30, BATCH), torch.zeros(30, BATCH, dtype=torch.bool)
    at, each = torch.randint(0, 7, (BATCH,), generator=generator), torch.arange(BATCH)
    marks[at, each], counts[-1] = 1.0, True
    return torch.stack([2.0 * bits - 1, marks], 2), bits[at, each].expand(30, BATCH), counts


def accuracy(config: RecurrentConfig | FullyRecurrentConfig, draw: Draw, steps: int, seed: int) -> float:
    """Train, and return the share of frames named rightly in the last twenty steps, all of new sequences."""
    generator = torch.Generator().manual_seed(seed)
    kind = FullyRecurrent if isinstance(config, FullyRecurrentConfig) else Recurrent
    network = kind(config, 2, 2, generator)  # type: ignore[arg-type]
    optimiser = torch.optim.Adam(network.parameters(), 0.02)
    right = []
    for _ in range(steps):
        inputs, classes, counts = draw(generator)
        packing = Packing((len(inputs),) * BATCH)
        scores = network.scores(inputs.flatten(0, 1), packing)[0][counts.flatten()]
        wanted = classes.flatten()[counts.flatten()]
        network.zero_grad()
        functional.cross_entropy(scores, wanted).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        right.append(float((scores.argmax(dim=1) == wanted).float().mean()))
    return sum(right[-20:]) / len(right[-20:])


def a_frame_later(draw: Draw) -> Draw:
    """The same task for a network whose hidden units reach the outputs a frame later."""

    def late(generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        inputs, classes, counts = draw(generator)
        counts = counts.roll(1, 0)
        counts[0] = False
        return inputs, classes.roll(1, 0), counts

    return late


@pytest.mark.parametrize(
    "config",
    [
        ElmanConfig(1, 16),
        FullyRecurrentConfig(16),
        LstmConfig(1, 16),
        LstmConfig(1, 16, peepholes=True),
        GruConfig(1, 16),
        LiGruConfig(1, 24, batch_norm=False),
    ],
    ids=repr,
)
@pytest.mark.parametrize("task", [delay, keep_odd])
def test_every_kind_learns_to_remember(config: RecurrentConfig | FullyRecurrentConfig, task: Draw) -> None:
    if isinstance(config, FullyRecurrentConfig):
        task = a_frame_later(task)
    assert accuracy(config, task, 2, seed=1) < 0.8
    assert max(accuracy(config, task, 200, seed) for seed in (1, 2)) > 0.95


@pytest.mark.slow
@pytest.mark.parametrize("peepholes", [False, True])
def test_gates_keep_what_was_marked(peepholes: bool) -> None:
    config = LstmConfig(1, 12, peepholes=peepholes, forget_bias=3.0)
    assert max(accuracy(config, keep_marked, 400, seed) for seed in (0, 1)) > 0.98


@pytest.mark.slow
def test_without_gates_it_is_lost() -> None:
    assert max(accuracy(ElmanConfig(1, 24), keep_marked, 400, seed) for seed in (0, 1)) < 0.7

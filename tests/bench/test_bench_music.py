"""Speed of models of music: steps a second in training, and NADE's few hidden states against all of them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from asrkit.nnet.device import torch_threads
from asrkit.nnet.draws import Draws
from asrkit.nnet.energy.nade import nade_logits
from asrkit.nnet.energy.sequence_batches import chunks
from asrkit.nnet.energy.sequence_config import RecurrenceConfig, RnnNadeConfig, RnnRbmConfig, RtrbmConfig
from asrkit.nnet.energy.sequence_file import new_model

KEYS, HIDDEN, SOUNDING = 88, 150, 4
STEPS = 176_561
"""Of Nottingham's training pieces: an epoch."""


def _best_secs(function: Callable[[], object], repeats: int = 7) -> float:
    found = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        found.append(time.perf_counter() - start)
    return min(found)


def _pieces(count: int, num_steps: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [(rng.random((num_steps, KEYS)) < SOUNDING / KEYS).astype(np.uint8) for _ in range(count)]


@pytest.mark.bench
@pytest.mark.parametrize(
    ("kind", "config"),
    [
        ("rnn-nade", RnnNadeConfig(HIDDEN, RecurrenceConfig("lstm", 200))),
        ("rnn-rbm", RnnRbmConfig(HIDDEN, 10, RecurrenceConfig("lstm", 200))),
        ("rtrbm", RtrbmConfig(HIDDEN, 10)),
    ],
)
def test_steps_of_training(kind: str, config: Any, capsys: pytest.CaptureFixture[str]) -> None:
    model, draws = new_model(kind, KEYS, config, Draws(0, "bench")), Draws(1, "bench")
    (chunk,) = chunks(_pieces(8, 100), 100)

    def update() -> None:
        before, _ = model.scan(chunk.frames, model.start(len(chunk.frames)), draws)
        model.cost(chunk.rows, before[chunk.inside], draws).backward()

    with torch_threads(1):
        speed = chunk.inside.sum().item() / _best_secs(update)
    with capsys.disabled():
        print(f"\n{kind}: {speed:,.0f} steps/s on one thread, {STEPS / speed:.0f} s an epoch of Nottingham")
    assert speed > 0


@pytest.mark.bench
def test_nade_s_hidden_states(capsys: pytest.CaptureFixture[str]) -> None:
    draws = Draws(0, "bench")
    v = torch.from_numpy(_pieces(1, 800)[0].astype(np.float32))
    weights, output = (draws.normal(torch.empty(KEYS, HIDDEN)) for _ in range(2))
    b, c = draws.normal(torch.empty(len(v), KEYS)), draws.normal(torch.empty(len(v), HIDDEN))

    def every() -> torch.Tensor:
        before = torch.cumsum(v[:, :, None] * weights, dim=1) - v[:, :, None] * weights
        return b + (torch.sigmoid(c[:, None] + before) * output).sum(dim=2)

    with torch_threads(1):
        few_secs = _best_secs(lambda: nade_logits(v, weights, output, b, c))
        every_secs = _best_secs(every, 3)
        torch.testing.assert_close(nade_logits(v, weights, output, b, c), every(), atol=1e-3, rtol=1e-3)
    with capsys.disabled():
        print(f"\nNADE: {len(v) / few_secs:,.0f} frames/s, {every_secs / few_secs:.0f} times as many as unit by unit")
    assert few_secs < every_secs

"""Speed of contrastive divergence against the products that it cannot do without: same shapes, same threads."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import pytest
import torch

from asrkit.nnet.device import torch_threads
from asrkit.nnet.draws import Draws
from asrkit.nnet.energy.cd import ContrastiveDivergence
from asrkit.nnet.energy.config import CdConfig, RbmConfig
from asrkit.nnet.energy.rbm import new_rbm

FRAMES = 256
REPEATS = 60


def _secs(function: Callable[[], object], device: torch.device) -> float:
    start = time.perf_counter()
    function()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def _products(frames: int, num_visible: int, num_hidden: int, device: torch.device) -> Callable[[], None]:
    """Return the five products of CD-1, and nothing else: up, down, up, and two gradients."""
    v = torch.rand((frames, num_visible), device=device)
    h = torch.rand((frames, num_hidden), device=device)
    weights = torch.rand((num_visible, num_hidden), device=device)
    up, down, gradient = torch.empty_like(h), torch.empty_like(v), torch.empty_like(weights)

    def run() -> None:
        torch.mm(v, weights, out=up)
        torch.mm(h, weights.T, out=down)
        torch.mm(v, weights, out=up)
        torch.mm(v.T, h, out=gradient)
        torch.mm(v.T, h, out=gradient)

    return run


@pytest.mark.bench
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(("visible", "num_visible"), [("gaussian", 440), ("bernoulli", 1024)])
def test_cd_1_against_its_products(
    visible: str, num_visible: int, threads: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with torch_threads(threads):
        _measure(visible, num_visible, 1024, FRAMES, torch.device("cpu"), f"{threads} threads", capsys)


@pytest.mark.bench
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
@pytest.mark.parametrize("visible", ["gaussian", "bernoulli"])
def test_cd_1_against_its_products_on_a_gpu(visible: str, capsys: pytest.CaptureFixture[str]) -> None:
    _measure(visible, 2048, 2048, 4096, torch.device("cuda"), torch.cuda.get_device_name(), capsys)


def _measure(
    visible: str,
    num_visible: int,
    num_hidden: int,
    frames: int,
    device: torch.device,
    where: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    draws = Draws(0, "bench", device=device)
    mean = torch.full((num_visible,), 0.5, device=device)
    rbm = new_rbm(visible, num_hidden, mean, torch.ones_like(mean), RbmConfig(), draws)  # type: ignore[arg-type]
    trainer = ContrastiveDivergence(rbm, CdConfig(learning_rate=0.01))
    v = torch.rand((frames, num_visible), device=device)
    products = _products(frames, num_visible, num_hidden, device)
    steps, limits = [], []
    for _ in range(REPEATS):
        steps.append(_secs(lambda: trainer.step(v, draws), device))
        limits.append(_secs(products, device))
    step, limit = statistics.median(steps), statistics.median(limits)
    operations = 5 * 2 * frames * num_visible * num_hidden
    with capsys.disabled():
        print(
            f"\nCD-1, {visible} {num_visible} -> {num_hidden}, minibatches of {frames}, {where}: {frames / step:.0f} "
            f"frames/s, {operations / step / 1e9:.1f} GFLOP/s, {100 * limit / step:.0f} % of the products alone "
            f"({operations / limit / 1e9:.1f} GFLOP/s)"
        )

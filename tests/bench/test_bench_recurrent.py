"""Recurrent layers with 512 units: how much of the speed of torch's fused long short-term memory each has."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import pytest
import torch
from torch import nn

from asrkit.nnet.device import torch_threads
from asrkit.nnet.layers.config import ElmanConfig, GruConfig, LiGruConfig, LstmConfig, RecurrentConfig
from asrkit.nnet.layers.packing import Packing
from asrkit.nnet.layers.recurrent import Recurrent

UNITS, DIM, OUTPUTS, REPEATS = 512, 440, 10, 7
CONFIGS = {
    "long short-term memory": LstmConfig(1, UNITS),
    "long short-term memory with peepholes": LstmConfig(1, UNITS, peepholes=True),
    "light gated recurrent units": LiGruConfig(1, UNITS),
    "gated recurrent units": GruConfig(1, UNITS),
    "Elman": ElmanConfig(1, UNITS),
}

Step = Callable[[], object]


def _ours(config: RecurrentConfig, packing: Packing, device: torch.device) -> Step:
    """Return forward and backward of a layer and a small linear one above it."""
    network = Recurrent(config, DIM, OUTPUTS, torch.Generator().manual_seed(0)).to(device).train()
    rows = torch.randn(packing.num_rows, DIM, device=device)

    def step() -> None:
        network.zero_grad(set_to_none=True)
        network.scores(rows, packing)[0].square().mean().backward()

    return step


def _fused(packing: Packing, device: torch.device) -> Step:
    """Return the same with torch's long short-term memory, on sequences padded to one length, which it prefers."""
    layer, output = nn.LSTM(DIM, UNITS).to(device), nn.Linear(UNITS, OUTPUTS).to(device)
    padded = torch.randn(packing.lengths[0], packing.num_sequences, DIM, device=device)

    def step() -> None:
        layer.zero_grad(set_to_none=True)
        output.zero_grad(set_to_none=True)
        output(layer(padded)[0]).square().mean().backward()

    return step


def _secs(step: Step, device: torch.device) -> float:
    started = time.perf_counter()
    step()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - started


def _compare(name: str, packing: Packing, device: torch.device, where: str, capsys: pytest.CaptureFixture[str]) -> None:
    fused, own = _fused(packing, device), _ours(CONFIGS[name], packing, device)
    pairs = [(_secs(fused, device), _secs(own, device)) for _ in range(REPEATS + 2)][2:]
    rates = [packing.num_rows / statistics.median(pair[which] for pair in pairs) for which in (0, 1)]
    share = statistics.median(one / other for one, other in pairs)
    with capsys.disabled():
        print(
            f"\n{UNITS} cells, {packing.num_sequences} sequences, {where}: {name} {rates[1]:,.0f} frames/s trained, "
            f"{100 * share:.0f} % of torch's LSTM ({rates[0]:,.0f} frames/s)"
        )


@pytest.mark.bench
@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("sequences", [8, 32])
def test_against_the_fused_layer(name: str, sequences: int, capsys: pytest.CaptureFixture[str]) -> None:
    with torch_threads(1):
        _compare(name, Packing((100,) * sequences), torch.device("cpu"), "one thread", capsys)


@pytest.mark.bench
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
@pytest.mark.parametrize("name", CONFIGS)
def test_against_the_fused_layer_on_a_gpu(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    _compare(name, Packing((500,) * 64), torch.device("cuda"), torch.cuda.get_device_name(), capsys)

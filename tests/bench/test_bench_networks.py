"""Training a perceptron: its share of the products it cannot do without, what loading costs, memory for 100 hours."""

from __future__ import annotations

import itertools
import statistics
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from asrkit.core.archives import ArchiveReader, ArchiveWriter
from asrkit.nnet.device import matmul_precision, torch_threads
from asrkit.nnet.layers.config import MlpConfig
from asrkit.nnet.network import NetworkShape
from asrkit.nnet.normalisation import InputNormalisation
from asrkit.nnet.train.config import FramesConfig, OptimiserConfig, Precision
from asrkit.nnet.train.frames import Frames
from asrkit.nnet.train.optimiser import Optimiser

FRAMES = 256
SIZES = [440, *[1024] * 6, 1500]
LARGE_SIZES = [440, *[2048] * 6, 4000]
REPEATS = 15


def _secs(function: Callable[[], object], device: torch.device) -> float:
    start = time.perf_counter()
    function()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def _products(
    sizes: list[int], frames: int, device: torch.device, precision: Precision = "float32"
) -> Callable[[], None]:
    """Return the products of a step alone: forward, gradients of weights, and of all inputs but the first."""
    layers = []
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    for number, (inputs, outputs) in enumerate(itertools.pairwise(sizes)):
        below, above = (torch.rand((frames, size), device=device, dtype=dtype) for size in (inputs, outputs))
        weights = torch.rand((outputs, inputs), device=device, dtype=dtype)
        results = torch.empty_like(above), torch.empty_like(weights), torch.empty_like(below) if number else None
        layers.append((below, weights, above, results))

    def run() -> None:
        for below, weights, above, (forward, gradient, backward) in layers:
            torch.mm(below, weights.T, out=forward)
            torch.mm(above.T, below, out=gradient)
            if backward is not None:
                torch.mm(above, weights, out=backward)

    return run


def _stepper(
    sizes: list[int], frames: int, device: torch.device, precision: Precision = "float32"
) -> Callable[[torch.Tensor], None]:
    shape = NetworkShape(MlpConfig(len(sizes) - 2, sizes[1]), sizes[0], 11, sizes[-1])
    network = shape.build().to(device).train()
    optimiser = Optimiser(network.parameters(), OptimiserConfig(learning_rate=1e-6), frames)
    targets = torch.randint(0, sizes[-1], (frames,), device=device)

    def step(inputs: torch.Tensor) -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16"):
            scores = network(inputs)
        losses = functional.cross_entropy(scores.float(), targets[: len(inputs)], reduction="none")
        (losses.sum() / frames).backward()
        optimiser.step()

    return step


def _measure(
    sizes: list[int],
    frames: int,
    device: torch.device,
    where: str,
    capsys: pytest.CaptureFixture[str],
    precision: Precision = "float32",
) -> None:
    step, products = _stepper(sizes, frames, device, precision), _products(sizes, frames, device, precision)
    inputs = torch.randn((frames, sizes[0]), device=device)
    steps, limits = [], []
    with matmul_precision(precision):
        for number in range(REPEATS + 2):
            pair = _secs(lambda: step(inputs), device), _secs(products, device)
            if number >= 2:
                steps.append(pair[0])
                limits.append(pair[1])
    taken, limit = statistics.median(steps), statistics.median(limits)
    share = statistics.median(b / a for a, b in zip(steps, limits))
    with capsys.disabled():
        print(
            f"\nMLP {len(sizes) - 2} x {sizes[1]}, minibatches of {frames}, {where}: {frames / taken:.0f} frames/s "
            f"trained, {100 * share:.0f} % of the products alone ({frames / limit:.0f} frames/s)"
        )


@pytest.mark.bench
@pytest.mark.parametrize("threads", [1, 2])
def test_training_against_its_products(threads: int, capsys: pytest.CaptureFixture[str]) -> None:
    with torch_threads(threads):
        _measure(SIZES, FRAMES, torch.device("cpu"), f"{threads} threads", capsys)


@pytest.mark.bench
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
@pytest.mark.parametrize("precision", ["float32", "tf32", "bfloat16"])
def test_training_against_its_products_on_a_gpu(precision: Precision, capsys: pytest.CaptureFixture[str]) -> None:
    """Also as a share of what one large product reaches, in the same precision."""
    device = torch.device("cuda")
    where = f"{torch.cuda.get_device_name()}, {precision}"
    _measure(LARGE_SIZES, 8192, device, where, capsys, precision)
    step = _stepper(LARGE_SIZES, 8192, device, precision)
    inputs = torch.randn((8192, LARGE_SIZES[0]), device=device)
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    one, other = (torch.randn((8192, 8192), device=device, dtype=dtype) for _ in range(2))
    with matmul_precision(precision):
        taken, product = (
            statistics.median(_secs(function, device) for _ in range(REPEATS))
            for function in (lambda: step(inputs), lambda: one @ other)
        )
    weights = sum(a * b for a, b in itertools.pairwise(LARGE_SIZES))
    operations = 2 * 8192 * (3 * weights - LARGE_SIZES[0] * LARGE_SIZES[1])
    rate, limit = operations / taken / 1e12, 2 * 8192**3 / product / 1e12
    with capsys.disabled():
        print(f"{rate:.0f} of {limit:.0f} TFLOP/s of a large product, {100 * rate / limit:.0f} %")


def _corpus(folder: Path, num_utterances: int, dim: int) -> dict[str, int]:
    """Write utterances of 10 s each, and return their lengths."""
    value = np.random.default_rng(0).normal(size=(1000, dim)).astype(np.float32)
    with ArchiveWriter(folder, "feats") as writer:
        for number in range(num_utterances):
            writer.write(f"u{number:06d}", value)
    return {f"u{number:06d}": len(value) for number in range(num_utterances)}


@pytest.mark.bench
def test_loading_against_training(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same steps on frames that come from an archive, and on one minibatch that is there."""
    lengths = _corpus(tmp_path, 40, 40)
    normalisation = InputNormalisation(np.zeros(40, np.float32), np.ones(40, np.float32))
    reader = ArchiveReader(tmp_path / "feats.scp")
    config = FramesConfig(FRAMES, 5000)
    frames = Frames(reader, list(lengths), normalisation, 5, 5, config=config, num_frames=lengths)
    step = _stepper(SIZES, FRAMES, torch.device("cpu"))
    fixed = torch.randn(FRAMES, SIZES[0])
    ratios = []
    with torch_threads(1):
        for chunk in frames.epoch(0, 0):
            started = time.perf_counter()
            count = 0
            for batch in chunk.minibatches(FRAMES):
                step(batch.inputs)
                count += 1
            loaded = time.perf_counter() - started
            started = time.perf_counter()
            for _ in range(count):
                step(fixed[: len(batch.inputs)])
            ratios.append((time.perf_counter() - started) / loaded)
    with capsys.disabled():
        print(
            f"\nframes/s with loading: {100 * statistics.median(ratios):.1f} % of those without "
            f"(median of {len(ratios)})"
        )


@pytest.mark.bench
def test_memory_of_a_hundred_hours(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lengths = _corpus(tmp_path, 36_000, 13)
    reader = ArchiveReader(tmp_path / "feats.scp")
    normalisation = InputNormalisation(np.zeros(13, np.float32), np.ones(13, np.float32))
    frames = Frames(reader, list(lengths), normalisation, 5, 5, config=FramesConfig(), num_frames=lengths)
    before, peak, done = _anonymous_bytes(), 0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.02):
            peak = max(peak, _anonymous_bytes())

    watcher = threading.Thread(target=watch)
    watcher.start()
    started = time.perf_counter()
    seen = sum(len(batch.inputs) for chunk in frames.epoch(0, 0) for batch in chunk.minibatches(1024))
    secs = time.perf_counter() - started
    done.set()
    watcher.join()
    assert seen == 36_000_000
    with capsys.disabled():
        print(
            f"\n100 hours of 13 dimensions ({(tmp_path / 'feats.ark').stat().st_size / 1e9:.1f} GB), spliced to 143: "
            f"{seen / secs:.0f} frames/s read and drawn, {(peak - before) / 1e6:.0f} MB of memory"
        )


def _anonymous_bytes() -> int:
    """Return the memory of this process that is not a file's."""
    text = Path("/proc/self/status").read_text(encoding="ascii")
    return int(text.partition("RssAnon:")[2].split()[0]) * 1024

"""`asrkit sample` of a convolutional deep belief network: what its bases stand for, as arrays and as pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from asrkit.core.archives import ArchiveWriter
from asrkit.core.errors import ConfigError
from asrkit.nnet.energy.config import SampleConfig
from asrkit.nnet.energy.convolutional_dbn import cdbn_files, load_cdbn
from asrkit.stages.pictures import check_pictures, draw_picture
from asrkit.stages.record import RunOptions, StageReport, StageResult, check_apart, run_stage


def sample_bases(
    network_path: Path, out: Path, config: SampleConfig, options: RunOptions, data_path: Path | None = None
) -> StageReport:
    """Write the bases of each layer as stretches of features.

    Parameters
    ----------
    network_path : Path
        What `asrkit pretrain cdbn` made.
    out : Path
        Directory to be made: ``bases.ark`` with a matrix (time, dimension) for each base of each layer, named
        ``layer1-base-0001`` and so on, earliest frame first: what it adds to the features before they were whitened.
        ``bases1.png`` and so on have the bases of a layer whose stretches have the largest norms, largest first, each
        on a scale of its own that is symmetric about 0.
    data_path : Path, optional
        Refused: nothing is drawn that could start there.

    Raises
    ------
    ModelError, FormatError
        The network is absent or damaged.
    ConfigError
        A data directory is given; or pictures are wanted, and matplotlib is not installed.
    """
    check_apart(out, network_path)
    if data_path is not None:
        raise ConfigError("--data is for a stack of RBMs: the bases of a convolutional network start nowhere")
    check_pictures(config.pictures, "--set pictures=false for arrays alone")
    network = load_cdbn(network_path)
    pictures = [out / f"bases{number}.png" for number in range(1, len(network.layers) + 1)]

    def body() -> StageResult:
        spans = []
        with ArchiveWriter(out, "bases") as writer:
            for number, picture in enumerate(pictures, 1):
                bases = network.bases(number)
                spans.append(int(bases.shape[1]))
                for base, one in enumerate(bases, 1):
                    writer.write(f"layer{number}-base-{base:04d}", one)
                if config.pictures:
                    order = np.argsort(-np.linalg.norm(bases, axis=(1, 2)), kind="stable")[: config.num_samples]
                    highest = np.abs(bases[order]).max(axis=(1, 2), keepdims=True)
                    draw_picture((bases[order] / np.where(highest > 0, highest, 1.0)).astype(np.float32), picture)
        figures = {"layers": len(pictures), "bases": [layer.num_bases for layer in network.layers], "frames": spans}
        return StageResult(figures)

    outputs = [out / "bases.ark", out / "bases.scp", *(pictures if config.pictures else [])]
    return run_stage("sample", out, cdbn_files(network_path), config, outputs, options, body, uses_seed=False)

"""The whole ladder of trainings on AN4's 74 training speakers with two jobs, beside Kaldi's wall times."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from asrkit.data.corpora import an4
from asrkit.lang.langdir import LangConfig
from asrkit.stages.extract import ExtractConfig, extract
from asrkit.stages.make_lang import make_lang_dir
from asrkit.stages.prepare import prepare
from asrkit.stages.record import RunOptions, StageReport
from asrkit.stages.train_deltas import DeltasConfig, train_deltas
from asrkit.stages.train_lda_mllt import LdaMlltConfig, train_lda_mllt
from asrkit.stages.train_mono import MonoConfig, train_mono
from asrkit.stages.train_sat import SatConfig, train_sat

pytestmark = pytest.mark.bench

KALDI_SECS = {"mono": 64.0, "deltas": 37.0, "lda-mllt": 33.0, "sat": 43.0}
"""Wall time of Kaldi 5.5's steps/train_*.sh, alignments included, on the same data, two jobs, a like machine."""


def test_the_ladder_on_an4(corpora: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = RunOptions(num_jobs=2)
    data, lang, exp = tmp_path / "data" / "train", tmp_path / "lang", tmp_path
    prepare("an4", corpora / "an4", tmp_path / "data", an4.Config(), options)
    make_lang_dir(tmp_path / "data/local/lexicon.txt", lang, LangConfig(position_dependent=True), options)
    rungs: dict[str, Callable[[], StageReport]] = {
        "extract": lambda: extract(data, ExtractConfig(sample_rate_hz=16000, use_energy=False), options),
        "mono": lambda: train_mono(data, lang, exp / "mono", MonoConfig(), options),
        "deltas": lambda: train_deltas(data, lang, exp / "mono", exp / "deltas", DeltasConfig(), options),
        "lda-mllt": lambda: train_lda_mllt(data, lang, exp / "deltas", exp / "lda", LdaMlltConfig(), options),
        "sat": lambda: train_sat(data, lang, exp / "lda", exp / "sat", SatConfig(), options),
    }
    total = 0.0
    with capsys.disabled():
        print("\ntraining on AN4, 74 speakers, 2 jobs (wall, CPU):")
        for name, train in rungs.items():
            started, busy = time.perf_counter(), time.process_time()
            report = train()
            wall, cpu = time.perf_counter() - started, time.process_time() - busy
            total += wall if name in KALDI_SECS else 0
            beside = f", Kaldi {KALDI_SECS[name]:.0f} s wall" if name in KALDI_SECS else ""
            print(
                f"  {name:9} {wall:6.1f} s {cpu:6.1f} s{beside}; {report.figures.get('num_gaussians', '-')} Gaussians"
            )
        kaldi = sum(KALDI_SECS.values())
        print(f"  together {total:6.1f} s, Kaldi {kaldi:.0f} s: {kaldi / total:.1f} x")
    assert (exp / "sat" / "model.safetensors").is_file()

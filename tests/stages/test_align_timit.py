"""Boundaries of a forced alignment against TIMIT's hand labels."""

from __future__ import annotations

from pathlib import Path

import pytest

from asrkit.data.corpora import timit
from asrkit.data.datadir import read_text, save_text
from asrkit.gmm.em import EmConfig
from asrkit.lang.langdir import LangConfig, make_lang
from asrkit.lang.lexicon import Pronunciation
from asrkit.score.timit import FOLD_48, PHONES_48, fold_phones
from asrkit.stages.align import align
from asrkit.stages.aligner import AlignStageConfig
from asrkit.stages.extract import ExtractConfig, extract
from asrkit.stages.prepare import prepare
from asrkit.stages.record import RunOptions
from asrkit.stages.score_alignment import ScoreAlignmentConfig, score_alignment
from asrkit.stages.train_mono import MonoConfig, train_mono


@pytest.mark.slow
def test_monophones_find_the_boundaries_of_a_fold(corpora: Path, tmp_path: Path) -> None:
    options = RunOptions()
    prepare("timit", corpora / "timit_sample", tmp_path, timit.Config(fold=0), options)
    for part in ("train", "test"):
        phones = read_text(tmp_path / part / "text_phones")
        save_text(tmp_path / part / "text", {key: fold_phones(said, FOLD_48) for key, said in phones.items()})
        extract(tmp_path / part, ExtractConfig(), options)
    config = LangConfig(silence_phone="sil", spoken_noise_phone="spn", silence_probability=0.0)
    make_lang([Pronunciation(phone, (phone,)) for phone in PHONES_48], config).save(tmp_path / "lang")
    training = MonoConfig(em=EmConfig(total_gaussians=600))
    train_mono(tmp_path / "train", tmp_path / "lang", tmp_path / "mono", training, options)
    align(tmp_path / "test", tmp_path / "mono", tmp_path / "ali", AlignStageConfig(), options)
    scored = ScoreAlignmentConfig(fold="timit48")
    figures = score_alignment(tmp_path / "test", tmp_path / "ali", scored, options).figures
    # Found: 9.4 ms, 81 %, 86 %, no bias; Kaldi's boundaries would lie 7 ms too early.
    assert figures["unmatched"] == 0
    assert figures["boundaries"] == 1138
    assert figures["median_ms"] <= 11
    assert figures["within_20_ms"] >= 78
    assert figures["within_25_ms"] >= 84
    assert abs(figures["bias_ms"]) <= 3

"""Forced alignment with a triphone model of 2,000 pdfs: seconds for an hour of speech, and where they go."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from asrkit.core.archives import ArchiveWriter
from asrkit.data.datadir import DataDir, Utterance
from asrkit.features.config import FrontEndConfig
from asrkit.features.frontend import save_front_end
from asrkit.features.pipeline import PipelineConfig
from asrkit.gmm.diag import DiagGmms
from asrkit.gmm.model import GmmHmm
from asrkit.graph.training import TrainingGraphCompiler
from asrkit.hmm.equal_alignment import equal_alignment
from asrkit.hmm.transitions import TransitionModel
from asrkit.hmm.tree import ContextTree, Leaf, Node, Split, Table
from asrkit.lang.langdir import Lang, LangConfig, make_lang
from asrkit.lang.lexicon import Pronunciation
from asrkit.stages.acoustic import save_model_folder
from asrkit.stages.align import align
from asrkit.stages.aligner import AlignStageConfig
from asrkit.stages.record import RunOptions

pytestmark = pytest.mark.bench

NUM_PHONES, NUM_WORDS, NUM_UTTERANCES, WORDS_EACH = 39, 2000, 60, 24
LEAVES_PER_STATE, GAUSSIANS_PER_PDF, DIM, FRAMES_PER_PHONE = 17, 8, 39, 9


def triphone_tree(lang: Lang, rng: np.random.Generator) -> ContextTree:
    """About 2,000 leaves: every state of every phone asks 16 questions about its neighbours."""
    num_pdfs = 0
    phones = list(lang.topology.phones)

    def grow(leaves: int) -> Node:
        nonlocal num_pdfs
        if leaves == 1:
            num_pdfs += 1
            return Leaf(num_pdfs - 1)
        values = frozenset(rng.choice(phones, len(phones) // 2, replace=False).tolist())
        return Split(int(rng.choice([0, 2])), values, grow(leaves // 2), grow(leaves - leaves // 2))

    silence = set(lang.silence_phones)
    branches = {
        phone: Table(
            -1,
            {c: grow(1 if phone in silence else LEAVES_PER_STATE) for c in range(lang.topology.num_pdf_classes(phone))},
        )
        for phone in phones
    }
    return ContextTree(3, 1, Table(1, branches))


def make_world(root: Path) -> float:
    """Make ``root/model`` and ``root/data``; return the seconds of speech."""
    rng = np.random.default_rng(0)
    phones = [f"p{n:02d}" for n in range(NUM_PHONES)]
    entries = [Pronunciation(f"w{n}", tuple(rng.choice(phones, rng.integers(2, 8)).tolist())) for n in range(NUM_WORDS)]
    lang = make_lang(entries, LangConfig())
    lang.save(root / "lang")
    tree = triphone_tree(lang, rng)
    transitions = TransitionModel.from_tree(tree, lang.topology)
    count = tree.num_pdfs * GAUSSIANS_PER_PDF
    centres = np.repeat(rng.normal(0, 1.2, (tree.num_pdfs, DIM)), GAUSSIANS_PER_PDF, axis=0)
    means = (centres + rng.normal(0, 0.5, (count, DIM))).astype(np.float32)
    weights = np.full(count, 1 / GAUSSIANS_PER_PDF, np.float32)
    offsets = np.arange(0, count + 1, GAUSSIANS_PER_PDF, dtype=np.int32)
    model = GmmHmm(tree, transitions, DiagGmms(weights, means, np.ones_like(means), offsets))
    front_end = FrontEndConfig()
    save_model_folder(root / "model", front_end, PipelineConfig(cmvn="none", delta_order=0), root / "lang", model)
    compiler = TrainingGraphCompiler(lang, tree, transitions)
    utterances: dict[str, Utterance] = {}
    num_frames = 0
    with ArchiveWriter(root / "data", "feats") as writer:
        for number in range(NUM_UTTERANCES):
            key = f"u{number:03d}"
            words = tuple(rng.choice([entry.word for entry in entries], WORDS_EACH).tolist())
            graph = compiler.compile(lang.transcript_ids(words)[0])
            arcs = None
            while arcs is None:
                arcs = equal_alignment(graph, WORDS_EACH * 5 * FRAMES_PER_PHONE, rng)
            pdfs = transitions.tid_to_pdf[graph.arc_label[arcs]]
            gaussians = offsets[pdfs] + rng.integers(0, GAUSSIANS_PER_PDF, len(pdfs))
            writer.write(key, means[gaussians] + rng.standard_normal((len(pdfs), DIM)).astype(np.float32))
            utterances[key] = Utterance(key, key, "s", words)
            num_frames += len(pdfs)
    DataDir(root / "data", utterances, dict.fromkeys(utterances, "none.wav")).save()
    save_front_end(root / "data", front_end)
    return num_frames * front_end.shift / front_end.sample_rate_hz


def test_an_hour_of_speech(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    secs = make_world(tmp_path)
    spent: dict[int, tuple[float, float]] = {}
    for jobs in (1, 2, 1, 2):
        started, busy = time.perf_counter(), time.process_time()
        report = align(
            tmp_path / "data",
            tmp_path / "model",
            tmp_path / f"out{jobs}",
            AlignStageConfig(),
            RunOptions(num_jobs=jobs, force=True),
        )
        taken = (time.perf_counter() - started, time.process_time() - busy)
        spent[jobs] = min(taken, spent.get(jobs, taken))
        assert report.figures["failed"] == 0
        assert report.figures["aligned"] == NUM_UTTERANCES
    assert (tmp_path / "out1" / "ali.ark").read_bytes() == (tmp_path / "out2" / "ali.ark").read_bytes()
    with capsys.disabled():
        print(f"\nalignment of {secs / 60:.0f} min of speech, 2,000 pdfs, CTM and JSON:", end="")
        for jobs, (wall, cpu) in spent.items():
            print(f" {jobs} job(s) {wall * 3600 / secs:.1f} s an hour (CPU {cpu * 3600 / secs:.1f} s)", end="")
        print()

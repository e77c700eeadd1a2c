"""A planted world of sound: four words whose phones are chords, and a model whose Gaussians were measured on them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from asrkit.core.archives import ArchiveWriter
from asrkit.features.cmvn import CmvnStats, apply_cmvn
from asrkit.features.config import FrontEndConfig
from asrkit.features.frontend import FrontEnd
from asrkit.features.pipeline import PipelineConfig
from asrkit.gmm.diag import DiagGmms
from asrkit.gmm.model import GmmHmm
from asrkit.hmm.transitions import TransitionModel
from asrkit.hmm.tree import monophone_tree
from asrkit.lang.langdir import LangConfig, make_lang
from asrkit.lang.lexicon import Pronunciation
from asrkit.stages.acoustic import save_model_folder
from asrkit.stages.make_graph import MakeGraphConfig, make_graph
from asrkit.stages.record import RunOptions
from tests.graph.languages import write_arpa

RATE = 8000
LEXICON = (
    Pronunciation("yes", ("y", "e", "s")),
    Pronunciation("no", ("n", "o")),
    Pronunciation("not", ("n", "o", "t")),
    Pronunciation("toy", ("t", "o", "y")),
)
WORDS = tuple(entry.word for entry in LEXICON)
UNIGRAM = {
    "<s>": (-99.0, 0.0),
    "</s>": (-0.7, 0.0),
    "yes": (-0.7, 0.0),
    "no": (-0.7, 0.0),
    "not": (-0.7, 0.0),
    "toy": (-0.7, 0.0),
}
CHORDS = {
    "y": (350, 2300),
    "e": (500, 1700),
    "s": (2900, 3500),
    "n": (250, 1200),
    "o": (450, 850),
    "t": (1900, 3200),
}
PHONE_SECS = 0.09
FRONT_END = FrontEndConfig(sample_rate_hz=RATE, low_freq=60.0, use_energy=False)


def phone_sound(phone: str, rng: np.random.Generator, secs: float = PHONE_SECS) -> NDArray[np.float64]:
    """Return (n,) samples in [-1, 1]: a chord with noise, or noise alone for silence (``_``)."""
    t = np.arange(round(secs * RATE)) / RATE
    noise = 0.004 * rng.standard_normal(len(t))
    if phone == "_":
        return noise
    return noise + sum(0.15 * np.sin(2 * np.pi * f * t + rng.uniform(0, 6)) for f in CHORDS[phone])


def say(said: str, seed: int = 0) -> NDArray[np.float32]:
    """Return (n,) float samples in [-1, 1] of words and silences, e.g. ``"_ yes _ no _"``; a silence lasts 0.27 s."""
    rng = np.random.default_rng(seed)
    phones = {entry.word: entry.phones for entry in LEXICON}
    pieces = []
    for word in said.split():
        pieces += [phone_sound(p, rng) for p in phones.get(word, ("_",) * 3)]
    return np.concatenate(pieces).astype(np.float32)


def as_int16(samples: NDArray[np.float32]) -> NDArray[np.int16]:
    """Return float samples in [-1, 1] as 16-bit integers."""
    return np.round(samples * 32767).astype(np.int16)


class World:
    """Directories of lang, model, graph and data (CMVN alone), and an ARPA file."""

    def __init__(self, root: Path, adaptive: bool = False) -> None:
        self.root = root
        self.lang_path, self.model, self.graph = root / "lang", root / "model", root / "graph"
        self.data = root / "data"
        self.lang = make_lang(LEXICON, LangConfig(num_states=2, num_silence_states=3))
        self.lang.save(self.lang_path)
        self._make_model(adaptive)
        self.arpa = write_arpa(root / "lm.arpa", UNIGRAM, 1)
        make_graph(self.lang_path, self.arpa, self.model, self.graph, MakeGraphConfig(), RunOptions())

    def _make_model(self, adaptive: bool) -> None:
        tree = monophone_tree(self.lang.topology, self.lang.shared_phones)
        transitions = TransitionModel.from_tree(tree, self.lang.topology)
        frames, prior = self._sounds()
        spread = np.concatenate(list(frames.values())).var(axis=0)
        num_pdfs, dim = tree.num_pdfs, FRONT_END.dim
        means, variances = np.zeros((num_pdfs, dim), np.float32), np.ones((num_pdfs, dim), np.float32)
        symbols = self.lang.phones.symbols
        for phone, _, pdf in transitions.triples:
            heard = frames.get(symbols[phone], frames["_"])
            means[pdf], variances[pdf] = heard.mean(axis=0), np.maximum(heard.var(axis=0), 0.05 * spread)
            if symbols[phone] == "SPN":
                means[pdf] += 60
        gmms = DiagGmms(np.ones(num_pdfs, np.float32), means, variances, np.arange(num_pdfs + 1, dtype=np.int32))
        model = GmmHmm(tree, transitions, gmms, alignment_gmms=gmms if adaptive else None)
        pipeline = PipelineConfig(cmvn="speaker", delta_order=0)
        save_model_folder(self.model, FRONT_END, pipeline, self.lang_path, model)
        with ArchiveWriter(self.data, "cmvn") as writer:
            writer.write("ann", prior.to_matrix())

    def _sounds(self) -> tuple[dict[str, NDArray[np.float32]], CmvnStats]:
        """Return the normalised frames of each phone, and the statistics of all frames."""
        front_end, rng = FrontEnd(FRONT_END), np.random.default_rng(9)
        phones = {entry.word: entry.phones for entry in LEXICON}
        frames: dict[str, list[NDArray[np.float32]]] = {phone: [] for phone in [*CHORDS, "_"]}
        prior = CmvnStats.zero(front_end.dim)
        for _ in range(25):
            said = [p for w in ["_", *rng.choice([*WORDS, "_"], 4), "_"] for p in phones.get(w, ("_",) * 3)]
            features = front_end.compute(np.concatenate([phone_sound(p, rng) for p in said]).astype(np.float32) * 32767)
            stats = CmvnStats.of(features)
            prior = prior + stats
            normal = apply_cmvn(features, stats)
            for place, phone in enumerate(said):
                inside = slice(round(place * PHONE_SECS * 100) + 1, round((place + 1) * PHONE_SECS * 100) - 2)
                frames[phone].append(normal[inside])
        return {phone: np.concatenate(found) for phone, found in frames.items()}, prior


def words_of(said: str) -> list[str]:
    """Return the words of what was said."""
    return [word for word in said.split() if word != "_"]


def spans_secs(said: str) -> list[tuple[float, float]]:
    """Return start and end of each word in seconds."""
    phones = {entry.word: len(entry.phones) for entry in LEXICON}
    spans, at = [], 0.0
    for word in said.split():
        end = at + PHONE_SECS * phones.get(word, 3)
        spans += [] if word == "_" else [(at, end)]
        at = end
    return spans


SAYINGS: Sequence[str] = ("_ yes no _", "_ toy _ not _", "_ no _ no yes _ toy _", "_ not _", "_ yes yes _ not no _")

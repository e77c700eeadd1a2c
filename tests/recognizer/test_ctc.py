"""A network trained by CTC as recogniser: packed, whole recordings and live ones, and words that it never heard of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import asrkit
from asrkit.cli.main import main
from asrkit.core.archives import ArchiveWriter
from asrkit.data.datadir import DataDir, Utterance
from asrkit.features.cmvn import CmvnStats
from asrkit.features.frontend import FrontEnd, save_front_end
from tests.recognizer.worlds import FRONT_END, RATE, WORDS, World, say, spans_secs, words_of

SETTINGS = [
    *("--targets", "ctc", "--set", "pipeline.delta_order=0", "--set", "pipeline.splice_left=1"),
    *("--set", "pipeline.splice_right=4", "--set", "pipeline.keep_every=2", "--set", "training.threads=1"),
    *("--set", "network.layers=1", "--set", "network.units=24", "--set", "training.optimiser.learning_rate=0.01"),
    *("--set", "training.utterances.batch_frames=300", "--set", "training.newbob.max_epochs=16"),
    *("--set", "training.newbob.keep_rate_epochs=10", "--set", "heldout_by=utterance"),
]


def invoke(*arguments: object) -> None:
    result = CliRunner().invoke(main, [*map(str, arguments)])
    assert result.exit_code == 0, result.output


@pytest.fixture(scope="module")
def packed(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network of one direction, trained on sounds and transcripts alone."""
    root = tmp_path_factory.mktemp("ctc")
    rng = np.random.default_rng(3)
    said = {f"u{number:03d}": rng.choice([*WORDS, "_"], 2 + number % 5).tolist() for number in range(150)}
    utterances = {
        key: Utterance(key, key, "ann", tuple(words_of(" ".join(words))) or ("no",)) for key, words in said.items()
    }
    data = DataDir(root / "data", utterances, {key: f"{key}.wav" for key in said})
    data.path.mkdir()
    data.save()
    front_end, stats = FrontEnd(FRONT_END), CmvnStats.zero(FrontEnd(FRONT_END).dim)
    with ArchiveWriter(data.path, "feats") as writer:
        for number, (key, words) in enumerate(said.items()):
            sounds = say(" ".join(["_", *(words if words_of(" ".join(words)) else ["no"]), "_"]), number)
            features = front_end.compute(sounds * 32767)
            stats = stats + CmvnStats.of(features)
            writer.write(key, features)
    with ArchiveWriter(data.path, "cmvn") as writer:
        writer.write("ann", stats.to_matrix())
    save_front_end(data.path, FRONT_END)
    invoke("train-dnn", "gru", data.path, world.lang_path, root / "net", *SETTINGS)
    invoke("make-graph", world.lang_path, world.arpa, root / "net", root / "graph")
    arguments = ("--cmvn", data.path, "--lm", world.arpa, "--set", "lm_weight=1")
    invoke("pack", root / "net", root / "graph", root / "toy.asrkit", *arguments)
    return root / "toy.asrkit"


SAID = ("_ yes no _", "_ toy _ not _", "_ no _ no yes _ toy _")


@pytest.mark.parametrize("said", SAID)
def test_whole_recordings_are_heard_and_words_lie_where_they_were_said(packed: Path, said: str) -> None:
    result = asrkit.load(packed)(say(said, 1000), RATE)
    assert result.text.split() == words_of(said)
    for word, (start, end) in zip(result.words, spans_secs(said), strict=True):
        assert start - 0.1 < word.start_secs < word.end_secs < end + 0.1


@pytest.mark.parametrize("block", [700, 8000])
def test_live_audio_is_heard(packed: Path, block: int) -> None:
    samples = say(" ".join(SAID), 1000)
    stream = asrkit.load(packed).stream()
    for start in range(0, len(samples), block):
        stream.feed(samples[start : start + block])
    assert stream.finish().text.split() == words_of(" ".join(SAID))


def test_other_words_are_heard_without_training(packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    said = say("_ yes no _", 1000)
    assert asrkit.load(packed, phrases=["toy not", "yes not"])(said, RATE).text == "yes not"
    again = asrkit.load(packed, add_words={"yesno": "y e s n o"}, word_cost=0.0)(said, RATE)
    assert again.text == "yesno"
    assert again.words[0].end_secs - again.words[0].start_secs > 0.3

"""`asrkit train-dnn --targets ctc` on features drawn from a planted model: it decodes, and no alignment was needed."""

from __future__ import annotations

import itertools
import json
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from asrkit.cli.main import main
from asrkit.core.archives import ArchiveReader
from asrkit.core.errors import ConfigError, DataError
from asrkit.core.files import read_json, write_lines
from asrkit.data.datadir import DataDir
from asrkit.features.pipeline import ModelInputs
from asrkit.graph.arrays import load_graph
from asrkit.hmm.ctc import BLANK, ctc_structure
from asrkit.hmm.scorer import loglike_blocks
from asrkit.lang.langdir import Lang
from asrkit.nnet.acoustic import NnetCtc
from asrkit.nnet.network import to_arrays
from asrkit.stages.acoustic import load_acoustic_model
from asrkit.stages.phone_targets import LexiconPhones, PhoneSource, open_phone_targets
from tests.stages.test_train_dnn import invoke, write_arpa
from tests.stages.test_train_mono import FRAMES_PER_STATE, LEXICON, NUM_STATES, make_world
from tests.stages.test_train_mono import run as train_mono

SETTINGS = [
    *("--targets", "ctc", "--set", "pipeline.cmvn=none", "--set", "pipeline.delta_order=0"),
    *("--set", "pipeline.splice_left=1", "--set", "pipeline.splice_right=1", "--set", "pipeline.keep_every=3"),
    *("--set", "training.threads=1", "--set", "training.newbob.max_epochs=25"),
    *("--set", "training.newbob.keep_rate_epochs=15", "--set", "training.utterances.batch_frames=60"),
    *("--set", "training.optimiser.learning_rate=0.02", "--set", "network.layers=1", "--set", "network.units=16"),
    *("--max-failed", "0.2"),
]
LABELS = ("--set", "ctc_priors=labels")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A world with networks of both directions and of one; tests only read it."""
    root = make_world(tmp_path_factory.mktemp("world"), num_utterances=60)
    train_mono(root)
    for kind, more in (("blstm", ()), ("gru", LABELS)):
        result = train(root, kind, *SETTINGS, *more)
        assert result.exit_code == 0, result.output
    write_arpa(root / "lm.arpa")
    for kind in ("blstm", "gru"):
        invoke("make-graph", root / "lang", root / "lm.arpa", root / kind, root / kind / "graph")
    return root


def train(root: Path, kind: str, *arguments: str, source: str = "lang", out: Path | None = None) -> Result:
    paths = [str(root / "data"), str(root / source), str(out or root / kind)]
    return CliRunner().invoke(main, ["train-dnn", kind, *paths, *arguments])


def network_of(world: Path, kind: str) -> NnetCtc:
    model = load_acoustic_model(world / kind).model
    assert isinstance(model, NnetCtc)
    return model


@pytest.mark.parametrize("kind", ["blstm", "gru"])
def test_the_network_decodes_what_was_said(world: Path, tmp_path: Path, kind: str) -> None:
    grid = ("--set", "lm_weights=[1]", "--set", "min_active=20")
    invoke("decode", world / kind / "graph", world / kind, world / "data", tmp_path / "dec", *grid)
    said = {key: utterance.words for key, utterance in DataDir.load(world / "data").utterances.items()}
    found = dict(line.split(maxsplit=1) for line in (tmp_path / "dec/hyp.txt").read_text().splitlines() if " " in line)
    right = sum(tuple(found.get(key, "").split()) == words for key, words in said.items())
    assert right >= 0.9 * len(said)
    assert load_graph(world / kind / "graph/HCLG.fst").num_arcs


def test_words_lie_where_they_were_said(world: Path, tmp_path: Path) -> None:
    """A third of the frames, so three times as long each: words begin and end within what was planted of them."""
    invoke(
        "decode", world / "blstm/graph", world / "blstm", world / "data", tmp_path / "dec", "--set", "lm_weights=[1]"
    )
    rows: dict[str, list[tuple[float, float, str]]] = {}
    for line in (tmp_path / "dec/hyp.ctm").read_text().splitlines():
        recording, _, start, duration, word, *_ = line.split()
        rows.setdefault(recording, []).append((float(start), float(start) + float(duration), word))
    phone_secs = FRAMES_PER_STATE * NUM_STATES / 100
    right = total = 0
    for key, utterance in DataDir.load(world / "data").utterances.items():
        if tuple(word for *_, word in rows.get(key, [])) != utterance.words:
            continue
        at = phone_secs
        for start, end, word in rows[key]:
            middle, width = at + phone_secs * len(LEXICON[word]) / 2, phone_secs * len(LEXICON[word])
            right += abs((start + end) / 2 - middle) < width / 2 + 0.06
            total += 1
            at += width
    assert total > 100
    assert right > 0.95 * total


def test_priors_are_mean_posteriors_or_shares_of_labels(world: Path) -> None:
    """Of the training utterances, smoothed by one frame each."""
    blstm, gru = (network_of(world, kind) for kind in ("blstm", "gru"))
    inputs = load_acoustic_model(world / "blstm").inputs(DataDir.load(world / "data"))
    mean = np.mean(np.concatenate([np.exp(blstm.log_posteriors(inputs[key])) for key in inputs]), axis=0)
    spoken = mean > 0.01
    assert spoken.sum() == 5  # blank, a, p, t, u
    np.testing.assert_allclose(np.exp(blstm.log_priors)[spoken], mean[spoken], rtol=0.15)
    assert abs(np.exp(gru.log_priors[BLANK]) - 0.55) < 0.05
    assert np.exp(blstm.log_priors).sum() == pytest.approx(1, rel=1e-4)
    loglikes = blstm.loglikes(inputs["u07"])
    np.testing.assert_allclose(loglikes, blstm.log_posteriors(inputs["u07"]) - blstm.log_priors, rtol=1e-5, atol=1e-5)


def test_frames_are_thinned_out(world: Path) -> None:
    data = DataDir.load(world / "data")
    inputs = load_acoustic_model(world / "gru").inputs(data)
    raw = ArchiveReader(world / "data/feats.scp")
    for key in ("u03", "u07"):
        frames = np.asarray(raw[key])
        padded = np.concatenate([frames[:1], frames, frames[-1:]])
        expected = np.concatenate([padded[:-2], padded[1:-1], padded[2:]], axis=1)[::3]
        np.testing.assert_array_equal(inputs[key], expected)
        assert inputs.num_frames(key) == len(expected)
    network = network_of(world, "gru")
    whole = network.loglikes(inputs["u07"])
    blocks = np.concatenate(list(loglike_blocks(network, inputs["u07"], 5)))
    np.testing.assert_allclose(blocks, whole, rtol=1e-4, atol=1e-4)


def test_an_alignment_says_which_pronunciations_were_said(world: Path, tmp_path: Path) -> None:
    """With one pronunciation of each word the phones are those of the lexicon, and so is the network."""
    tree, _ = ctc_structure(Lang.load(world / "lang").inventory)
    data = DataDir.load(world / "data")
    inputs = ModelInputs(data, load_acoustic_model(world / "gru").pipeline)
    labels = []
    for source in (PhoneSource.at(world / "lang"), PhoneSource.at(world / "mono")):
        assert all(path.is_file() for path in source.files())
        labels.append(open_phone_targets(data, inputs, source.open(tree, source.lang())).labels)
    assert labels[0].keys() == labels[1].keys() == data.utterances.keys()
    lang = Lang.load(world / "lang")
    for key, utterance in data.utterances.items():
        phones = [lang.phones.ids[phone] for word in utterance.words or () for phone in LEXICON[word]]
        assert labels[0][key].tolist() == labels[1][key].tolist() == [tree.pdf_id((phone,), 0) for phone in phones]
    few = ("--set", "training.newbob.max_epochs=1")
    for source in ("lang", "mono"):
        assert train(world, "gru", *SETTINGS, *few, source=source, out=tmp_path / source).exit_code == 0
    one, two = (to_arrays(load_acoustic_model(tmp_path / name).model.network) for name in ("lang", "mono"))  # type: ignore[union-attr]
    for name, array in one.items():
        np.testing.assert_array_equal(two[name], array)


def test_utterances_that_are_too_short_for_their_phones_are_named(world: Path, tmp_path: Path) -> None:
    few = [*SETTINGS, "--set", "training.newbob.max_epochs=1", "--json"]
    done = train(world, "gru", *few, "--set", "pipeline.keep_every=13", "--max-failed", "0.99", out=tmp_path / "out")
    assert done.exit_code == 0, done.output
    failures = json.loads(done.stdout)["failures"]
    raw = ArchiveReader(world / "data/feats.scp")
    for key, utterance in DataDir.load(world / "data").utterances.items():
        phones = [phone for word in utterance.words or () for phone in LEXICON[word]]
        need = len(phones) + sum(one == two for one, two in itertools.pairwise(phones))
        frames = -(-len(np.asarray(raw[key])) // 13)
        assert (key in failures) == (need > frames)
        if need > frames:
            assert failures[key].startswith(f"{frames} frames for {len(phones)} phones, which take {need} at least")
    assert failures


def test_utterances_without_phones_are_named(world: Path, tmp_path: Path) -> None:
    data = DataDir.load(world / "data")
    lang = Lang.load(world / "lang")
    tree, _ = ctc_structure(lang.inventory)
    inputs = ModelInputs(data, load_acoustic_model(world / "gru").pipeline)
    alignments = tmp_path / "ali"
    invoke("align", world / "data", world / "mono", alignments, "--max-failed", "0.2")
    kept = (alignments / "ali.scp").read_text().splitlines()[1:]
    missing = (alignments / "ali.scp").read_text().split()[0]
    write_lines(alignments / "ali.scp", kept)
    source = PhoneSource.at(alignments)
    found = open_phone_targets(data, inputs, source.open(tree, lang))
    assert [(one.utterance_id, one.reason) for one in found.failures] == [(missing, "no alignment")]
    with pytest.raises(DataError, match="no utterance has features and phones"):
        open_phone_targets(data, inputs, lambda _: [])  # type: ignore[arg-type]


def test_a_second_run_does_nothing(world: Path) -> None:
    again = train(world, "gru", *SETTINGS, *LABELS, "--json")
    assert json.loads(again.stdout)["skipped"]
    assert not (world / "gru/checkpoint.safetensors").exists()
    figures = read_json(world / "gru/stage.json")["train-dnn gru"]["figures"]
    assert figures["heldout_accuracy"] > 0.9
    assert figures["training_labels"] < figures["training_frames"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["align", "{world}/data", "{world}/gru", "{out}"], "trained by CTC, and says that a phone has come"),
        (["train-dnn", "lfmmi", "{world}/data", "{world}/lang", "{world}/gru", "{out}"], "this training needs that"),
        (["export", "{world}/gru", "{out}.onnx"], "export needs one that scores each window"),
        (["write-inputs", "{world}/data", "{world}/gru", "{out}"], "write-inputs takes every frame"),
        (["train-dnn", "mlp", "{world}/data", "{world}/lang", "{out}", "--targets", "ctc"], "is not recurrent"),
        (
            ["train-dnn", "gru", "{world}/data", "{world}/lang", "{out}", "--targets", "ctc", "--realign", "1"],
            "--realign",
        ),
        (
            [
                *("train-dnn", "gru", "{world}/data", "{world}/lang", "{out}", "--targets", "ctc"),
                *("--set", "training.utterances.chunk_frames=20"),
            ],
            "of whole utterances",
        ),
        (
            ["train-dnn", "gru", "{world}/data", "{world}/lang", "{out}", "--targets", "ctc", "--set", "balance=1"],
            "balance weighs",
        ),
        (
            ["train-dnn", "gru", "{world}/data", "{world}/mono", "{out}", "--set", "pipeline.keep_every=2"],
            "this training takes every frame",
        ),
        (
            ["train-gmm", "mono", "{world}/data", "{world}/lang", "{out}", "--set", "pipeline.keep_every=2"],
            "this training takes every frame",
        ),
        (["decode", "{world}/gru/graph", "{world}/mono", "{world}/data", "{out}"], "made for another model"),
        (
            [
                "decode",
                "{world}/gru/graph",
                "{world}/gru",
                "{world}/data",
                "{out}",
                "--with",
                "{world}/mono",
                "{world}/data",
            ],
            "its tree or topology is not that of the first model",
        ),
    ],
)
def test_what_cannot_be_is_refused(world: Path, tmp_path: Path, arguments: list[str], message: str) -> None:
    given = [one.format(world=world, out=tmp_path / "out") for one in arguments]
    refused = CliRunner().invoke(main, given)
    assert refused.exit_code == 1, refused.output
    assert message in refused.stderr


def test_two_networks_decode_together(world: Path, tmp_path: Path) -> None:
    both = ("--with", world / "gru", world / "data", "--set", "lm_weights=[1]")
    invoke("decode", world / "blstm/graph", world / "blstm", world / "data", tmp_path / "both", *both)
    assert (tmp_path / "both/hyp.txt").read_text().count("\n") == 60


def test_lattices_are_combined_with_those_of_the_same_frames(world: Path, tmp_path: Path) -> None:
    grid = ("--set", "lm_weights=[1]")
    for kind in ("blstm", "gru"):
        invoke("decode", world / kind / "graph", world / kind, world / "data", tmp_path / kind, *grid)
    graph = world / "blstm/graph"
    invoke("combine", "lattices", graph, world / "data", tmp_path / "blstm", tmp_path / "gru", tmp_path / "both")
    lasts = []
    for name in ("blstm", "both"):
        ends: dict[str, float] = {}
        for line in (tmp_path / name / "hyp.ctm").read_text().splitlines():
            recording, _, start, duration, *_ = line.split()
            ends[recording] = float(start) + float(duration)
        lasts.append(ends)
    apart = [abs(lasts[0][key] - lasts[1][key]) for key in lasts[0].keys() & lasts[1].keys()]
    assert len(apart) > 50
    assert np.median(apart) < 0.05
    invoke("make-graph", world / "lang", world / "lm.arpa", world / "mono", tmp_path / "graph")
    invoke("decode", tmp_path / "graph", world / "mono", world / "data", tmp_path / "mono", *grid)
    given = [graph, world / "data", tmp_path / "blstm", tmp_path / "mono", tmp_path / "out"]
    refused = CliRunner().invoke(main, ["combine", "lattices", *map(str, given)])
    assert refused.exit_code == 1
    assert "the lattices have frames each 30, 10 ms" in refused.stderr


def test_what_is_said_of_it(world: Path) -> None:
    facts = json.loads(invoke("info", world / "gru", "--json").stdout)
    model = next(part["facts"] for part in facts["parts"] if part["kind"] == "model")
    assert model["ctc"] is True
    assert model["inputs"]["keep_every"] == 3
    with pytest.raises(ConfigError, match="keep_every is 0"):
        type(load_acoustic_model(world / "gru").pipeline)(keep_every=0)


def test_transcripts_outside_the_lexicon_are_counted_and_refused_where_no_word_is_in_it(
    world: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = DataDir.load(world / "data")
    lang = Lang.load(world / "lang")
    tree, _ = ctc_structure(lang.inventory)
    inputs = ModelInputs(data, load_acoustic_model(world / "gru").pipeline)
    keys = sorted(data.utterances)
    number = sum(len(data.utterances[key].words or ()) for key in keys)
    with caplog.at_level("WARNING", logger="asrkit"):
        # Those of the first utterance alone are known.
        said = {key: replace(one, words=("xyzzy",)) for key, one in data.utterances.items() if key != keys[0]}
        said[keys[0]] = data.utterances[keys[0]]
        logging.getLogger("asrkit").propagate = True
        open_phone_targets(replace(data, utterances=said), inputs, LexiconPhones(tree, lang))
    known = len(data.utterances[keys[0]].words or ())
    assert 0 < known < number
    assert f"{len(keys) - 1} of {len(keys) - 1 + known} words of {data.path / 'text'}" in caplog.text
    said[keys[0]] = replace(said[keys[0]], words=("plugh",))
    with pytest.raises(DataError, match="no word of the transcripts is in the lexicon"):
        open_phone_targets(replace(data, utterances=said), inputs, LexiconPhones(tree, lang))

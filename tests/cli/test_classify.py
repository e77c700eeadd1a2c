"""Classifiers of utterances: `asrkit train-dnn --targets labels` and `asrkit classify` on planted labels."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from click.testing import CliRunner, Result

from asrkit.cli.main import main
from asrkit.core.archives import ArchiveReader, ArchiveWriter, read_scp
from asrkit.core.errors import DataError
from asrkit.core.files import read_json, read_lines, write_json, write_lines
from asrkit.data.datadir import DataDir, Utterance
from asrkit.features.config import FrontEndConfig
from asrkit.features.frontend import save_front_end
from asrkit.features.pipeline import ModelInputs, PipelineConfig
from asrkit.nnet.label_classifier import LabelClassifier
from asrkit.nnet.network import to_arrays
from asrkit.nnet.normalisation import InputNormalisation
from asrkit.nnet.stack import Stack, StackLayer
from asrkit.stages.label_targets import hold_out_labelled, open_labels, read_labels

DIM, WIDTH = 6, 4
WORDS = ("left", "right", "stop")
SPEAKERS = ("ann", "bob", "cid", "dee", "eve")
GENDERS = {"ann": "f", "bob": "m", "cid": "m", "dee": "f", "eve": "f"}

SETTINGS = [
    *("--targets", "labels", "--set", "pipeline.cmvn=none", "--set", "pipeline.delta_order=0"),
    *("--set", "pipeline.splice_left=2", "--set", "pipeline.splice_right=1", "--set", "training.threads=1"),
    *("--set", "training.frames.batch_size=32", "--set", "training.optimiser.kind=adam"),
    *("--set", "training.optimiser.learning_rate=0.005", "--set", "training.newbob.max_epochs=8"),
]
MLP = [*SETTINGS, "--set", "network.layers=1", "--set", "network.units=16", "--set", "network.activation=tanh"]
CNN = [
    *SETTINGS,
    *("--set", "network.channels=1", "--set", "network.maps=[6]", "--set", "network.pool=[1]"),
    *("--set", "network.bands=3", "--set", "network.time_frames=2", "--set", "network.mlp.units=16"),
]
GRU = [
    *(one.replace("training.frames.batch_size=32", "training.utterances.batch_frames=100") for one in SETTINGS),
    *("--set", "network.layers=1", "--set", "network.units=16"),
]


def make_data(path: Path, speakers: tuple[str, ...], seed: int, utterances: int = 4) -> DataDir:
    """Words differ by how the first three dimensions move in time, speakers by the means of the others."""
    rng = np.random.default_rng(seed)
    table: dict[str, Utterance] = {}
    with ArchiveWriter(path, "feats") as writer:
        for speaker in speakers:
            own = np.random.default_rng(SPEAKERS.index(speaker)).normal(0, 2, DIM - 3)
            own[0] = 4.0 if GENDERS[speaker] == "f" else -4.0
            for word_number, word in enumerate(WORDS):
                for number in range(utterances):
                    key = f"{speaker}-{word}-{number}"
                    num_frames = int(rng.integers(9, 16))
                    value = rng.normal(size=(num_frames, DIM))
                    value[:, word_number] += np.linspace(1, 4, num_frames)
                    value[:, 3:] += own
                    table[key] = Utterance(key, key, speaker, (word,))
                    writer.write(key, value.astype(np.float32))
    DataDir(path, table, dict.fromkeys(table, "nowhere.wav")).save()
    write_lines(path / "spk2gender", (f"{speaker} {GENDERS[speaker]}" for speaker in sorted(speakers)))
    save_front_end(path, FrontEndConfig())
    return DataDir.load(path)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data of four speakers to train on and of a fifth, and classifiers of words; tests only read it."""
    root = tmp_path_factory.mktemp("world")
    make_data(root / "train", SPEAKERS[:4], 1)
    make_data(root / "test", SPEAKERS[4:], 2)
    make_data(root / "more", SPEAKERS[:4], 3)
    for kind, settings in (("mlp", MLP), ("cnn", CNN), ("gru", GRU)):
        done(train(root, kind, "word", root / kind, *settings))
    return root


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(main, [*map(str, arguments)])


def done(result: Result) -> Result:
    assert result.exit_code == 0, result.output
    return result


def train(root: Path, kind: str, labels: object, out: Path, *arguments: object) -> Result:
    return invoke("train-dnn", kind, root / "train", labels, out, *arguments)


@pytest.mark.parametrize("kind", ["mlp", "cnn", "gru"])
def test_words_of_an_unheard_speaker_are_named(world: Path, tmp_path: Path, kind: str) -> None:
    result = done(invoke("classify", world / kind, world / "test", tmp_path, "--json"))
    figures = json.loads(result.stdout)["figures"]
    assert figures["utterances"] == 12
    assert figures["labels"] == 3
    assert figures["accuracy"] > 90
    truth = {key: one.words[0] for key, one in DataDir.load(world / "test").utterances.items() if one.words}
    named = read_scp(tmp_path / "utt2label")
    assert named.keys() == truth.keys()
    right = sum(named[key] == truth[key] for key in truth)
    assert figures["correct"] == right
    said = read_json(tmp_path / "accuracy.json")
    assert said["confusion"]["labels"] == sorted(WORDS)
    counts = np.array(said["confusion"]["counts"])
    assert (counts.sum(), np.trace(counts)) == (12, right)
    assert counts.sum(axis=1).tolist() == [4, 4, 4]
    assert said["by_speaker"] == {"eve": figures["accuracy"]}
    text = done(invoke("classify", world / kind, world / "test", tmp_path, "--force")).stdout
    assert f"accuracy {figures['accuracy']:.2f} % [ {right} / 12 ]" in text


@pytest.mark.parametrize("average", ["log", "linear"])
def test_probabilities_are_means_over_the_windows(world: Path, tmp_path: Path, average: str) -> None:
    done(invoke("classify", world / "mlp", world / "test", tmp_path, "--set", f"average={average}", "-j", 2))
    classifier = LabelClassifier.load(world / "mlp")
    inputs = ModelInputs(DataDir.load(world / "test"), classifier.pipeline)
    rows = [json.loads(line) for line in read_lines(tmp_path / "probabilities.jsonl")]
    assert [row["utterance_id"] for row in rows] == list(inputs)
    for row in rows:
        posteriors = classifier.log_posteriors(inputs[row["utterance_id"]]).astype(np.float64)
        np.testing.assert_allclose(np.exp(posteriors).sum(axis=1), 1, rtol=1e-5)
        if average == "log":
            expected = np.exp(posteriors.mean(axis=0))
            expected /= expected.sum()
        else:
            expected = np.exp(posteriors).mean(axis=0)
        assert list(row["probabilities"]) == list(classifier.labels)
        np.testing.assert_allclose(list(row["probabilities"].values()), expected, rtol=1e-3, atol=1e-9)
        assert row["label"] == classifier.labels[int(expected.argmax())]


def test_speakers_genders_and_tables(world: Path, tmp_path: Path) -> None:
    """The same features tell all of these apart."""
    table = tmp_path / "utt2half"
    write_lines(
        table, (f"{key} {'soft' if 'stop' in key else 'loud'}" for key in DataDir.load(world / "train").utterances)
    )
    for labels, data, num in (("speaker", "more", 4), ("gender", "test", 2), (table, "more", 2)):
        out = tmp_path / f"c-{Path(labels).name}"
        done(train(world, "mlp", labels, out, *MLP))
        named = ["--labels", tmp_path / "utt2half_more"] if labels == table else []
        if named:
            keys = DataDir.load(world / "more").utterances
            write_lines(named[1], (f"{key} {'soft' if 'stop' in key else 'loud'}" for key in keys))
        result = done(invoke("classify", out, world / data, tmp_path / f"{out.name}-{data}", "--json", *named))
        figures = json.loads(result.stdout)["figures"]
        assert figures["labels"] == num
        assert figures["accuracy"] > 90
    facts = json.loads(done(invoke("info", tmp_path / "c-gender", "--json")).stdout)
    assert facts["parts"][0]["kind"] == "classifier"
    assert facts["parts"][0]["facts"]["labels"] == ["f", "m"]
    assert facts["parts"][0]["facts"]["source"] == "gender"


def test_without_true_labels_there_is_no_accuracy(world: Path, tmp_path: Path) -> None:
    shutil.copytree(world / "test", tmp_path / "data")
    (tmp_path / "data/text").unlink()
    result = done(invoke("classify", world / "mlp", tmp_path / "data", tmp_path / "out", "--json"))
    assert "accuracy" not in json.loads(result.stdout)["figures"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "probabilities.jsonl",
        "stage.json",
        "utt2label",
    ]
    again = invoke("classify", world / "mlp", tmp_path / "data", tmp_path / "out", "--json")
    assert json.loads(again.stdout)["skipped"]


def test_labels_that_were_not_trained_on_count_as_wrong(world: Path, tmp_path: Path) -> None:
    keys = list(DataDir.load(world / "test").utterances)
    write_lines(tmp_path / "truth", [f"{keys[0]} up", *(f"{key} {key.split('-')[1]}" for key in keys[1:])])
    result = done(invoke("classify", world / "mlp", world / "test", tmp_path / "out", "--labels", tmp_path / "truth"))
    assert "labels that the classifier was not trained on: up" in result.output
    said = read_json(tmp_path / "out/accuracy.json")
    assert said["confusion"]["labels"][-1] == "up"
    assert sum(said["confusion"]["counts"][-1]) == 1
    assert said["correct"] <= 11


def test_a_stack_gives_the_first_layers(world: Path, tmp_path: Path) -> None:
    """With steps too small to move a weight, what comes out is what went in."""
    rng = np.random.default_rng(0)
    parameters = {
        "weights": rng.normal(0, 0.1, (WIDTH * DIM, 16)).astype(np.float32),
        "visible_bias": np.zeros(WIDTH * DIM, np.float32),
        "hidden_bias": rng.normal(0, 0.1, 16).astype(np.float32),
    }
    pipeline = PipelineConfig(cmvn="none", delta_order=0, splice_left=2, splice_right=1)
    normalisation = InputNormalisation(np.full(DIM, 0.5, np.float32), np.full(DIM, 0.25, np.float32))
    layer = StackLayer("autoencoder", "gaussian", "tanh", parameters)
    Stack(FrontEndConfig(), pipeline, normalisation, (layer,)).save(tmp_path / "stack")
    frozen = ["--set", "training.optimiser.learning_rate=1e-12", "--set", "training.newbob.max_epochs=1"]
    done(train(world, "mlp", "word", tmp_path / "out", *MLP, *frozen, "--init", tmp_path / "stack"))
    classifier = LabelClassifier.load(tmp_path / "out")
    np.testing.assert_allclose(to_arrays(classifier.network)["hidden.0.0.weight"], parameters["weights"].T, atol=1e-6)
    np.testing.assert_array_equal(classifier.normalisation.scale, normalisation.scale)


def test_whole_speakers_are_held_out_where_no_class_is_lost(world: Path) -> None:
    data = DataDir.load(world / "train")
    features = data.features()
    words, speakers = (open_labels(data, features, source) for source in ("word", "speaker"))
    training, heldout = hold_out_labelled(data, words, 0.2, 0)
    assert sorted([*training, *heldout]) == sorted(data.utterances)
    assert len({key.split("-")[0] for key in heldout}) == 1
    assert not {key.split("-")[0] for key in heldout} & {key.split("-")[0] for key in training}
    training, heldout = hold_out_labelled(data, words, 0.2, 0, by="utterance")
    assert {key.split("-")[0] for key in training} == set(SPEAKERS[:4])
    assert [sum(f"-{word}-" in key for key in heldout) for word in WORDS] == [3, 3, 3]
    training, heldout = hold_out_labelled(data, speakers, 0.2, 0)
    for part in (training, heldout):
        assert {key.split("-")[0] for key in part} == set(SPEAKERS[:4])
    assert sorted([*training, *heldout]) == sorted(data.utterances)
    assert hold_out_labelled(data, speakers, 0.2, 1) != (training, heldout)


def test_labels_are_found_where_they_stand(world: Path, tmp_path: Path) -> None:
    data = DataDir.load(world / "train")
    assert read_labels("word", data)["ann-stop-1"] == "stop"
    assert read_labels("speaker", data)["ann-stop-1"] == "ann"
    assert read_labels("gender", data)["ann-stop-1"] == "f"
    write_lines(tmp_path / "table", ["ann-stop-1 very loud", "strange-1 quiet"])
    assert read_labels(str(tmp_path / "table"), data) == {"ann-stop-1": "very loud"}
    with pytest.raises(DataError, match="no such table of labels"):
        read_labels("colour", data)
    with pytest.raises(DataError, match="1 different labels"):
        open_labels(data, data.features(), str(tmp_path / "table"))
    features = dict(ArchiveReader(world / "train/feats.scp").items())
    features["ann-left-0"] = np.full_like(features["ann-left-0"], np.nan)
    del features["ann-left-1"]
    found = open_labels(data, features, "word")
    assert {one.utterance_id: one.reason for one in found.failures} == {
        "ann-left-0": "features hold NaN or infinity",
        "ann-left-1": "no features (see the report of `asrkit extract`)",
    }
    assert found.counts().sum() == sum(found.num_frames.values())
    assert found.targets["ann-stop-1"].tolist() == [2] * found.num_frames["ann-stop-1"]


def test_what_does_not_belong_together_is_refused(world: Path, tmp_path: Path) -> None:
    shutil.copytree(world / "test", tmp_path / "data")
    save_front_end(tmp_path / "data", FrontEndConfig(num_ceps=7))
    refused = invoke("classify", world / "mlp", tmp_path / "data", tmp_path / "out")
    assert refused.exit_code == 1
    assert "num_ceps" in refused.stderr
    save_front_end(tmp_path / "data", FrontEndConfig())
    write_json(tmp_path / "data/inputs.json", {"vtln": True})
    refused = invoke("classify", world / "mlp", tmp_path / "data", tmp_path / "out")
    assert "trained on features of another kind" in refused.stderr
    assert "not a finished classifier" in invoke("classify", world / "train", world / "test", tmp_path / "out").stderr
    assert (
        "there is no alignment with these targets"
        in train(world, "mlp", "word", tmp_path / "out", *MLP, "--realign", 1).stderr
    )
    assert "no such table of labels" in train(world, "mlp", "colour", tmp_path / "out", *MLP).stderr
    assert not (tmp_path / "out").exists()


def test_a_classifier_is_exported(world: Path, tmp_path: Path) -> None:
    done(invoke("export", world / "cnn", tmp_path / "words.onnx", "--set", "output=log_posteriors"))
    session = onnxruntime.InferenceSession(tmp_path / "words.onnx", providers=["CPUExecutionProvider"])
    classifier = LabelClassifier.load(world / "cnn")
    features = ModelInputs(DataDir.load(world / "test"), classifier.pipeline)["eve-stop-0"]
    (found,) = session.run(None, {"features": features})
    np.testing.assert_allclose(found, classifier.log_posteriors(features), atol=1e-4)
    assert json.loads(session.get_modelmeta().custom_metadata_map["labels"]) == sorted(WORDS)
    refused = invoke("export", world / "cnn", tmp_path / "likes.onnx")
    assert refused.exit_code == 1
    assert "the model has no priors, so it has no loglikes" in refused.stderr


def test_a_second_run_does_nothing_and_other_labels_are_another_training(world: Path, tmp_path: Path) -> None:
    short = [*MLP, "--set", "training.newbob.max_epochs=1", "--json"]
    done(train(world, "mlp", "word", tmp_path / "out", *short))
    assert json.loads(train(world, "mlp", "word", tmp_path / "out", *short).stdout)["skipped"]
    again = json.loads(train(world, "mlp", "speaker", tmp_path / "out", *short).stdout)
    assert not again["skipped"]
    assert again["figures"]["labels"] == 4


def test_where_no_utterance_can_be_classified_the_reason_is_told(world: Path, tmp_path: Path) -> None:
    shutil.copytree(world / "test", tmp_path / "data")
    (tmp_path / "data" / "feats.scp").write_text("")
    result = invoke("classify", world / "mlp", tmp_path / "data", tmp_path / "out", "--max-failed", "1")
    assert result.exit_code == 1
    assert "no utterance can be classified; the first: " in result.output

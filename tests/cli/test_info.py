"""`asrkit info`: facts of each kind of thing, against what the tests put into it."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from asrkit.cli.main import main
from asrkit.core.archives import ArchiveReader, ArchiveWriter
from asrkit.core.container import save_model
from asrkit.core.files import read_json, write_json, write_lines
from asrkit.hmm.tree_report import TreeReport
from asrkit.lang.g2p import G2pConfig
from asrkit.lang.langdir import Lang, LangConfig, make_lang
from asrkit.lang.lexicon import Pronunciation
from asrkit.lattice.archive import LatticeWriter
from asrkit.stages.acoustic import load_acoustic_model
from asrkit.stages.record import RunOptions
from asrkit.stages.train_g2p import train_g2p_model
from tests.cli.test_align import DIM, SAID, World
from tests.factories import make_data_dir
from tests.lattice.lattices import random_lattice
from tests.stages import test_train_sat as sat

ARPA = (
    "comment\n\\data\\\nngram 1=4\nngram 2=1\n\n\\1-grams:\n-1 <s> -1\n-1 </s>\n-1 a -1\n-1 b\n\n\\2-grams:\n-1 a b\n\n"
)


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("planted"))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A monophone model and a speaker-adaptive one with a tree, as trainings leave them."""
    root = sat.make_world(tmp_path_factory.mktemp("trained"))
    sat.move_speakers(root / "data")
    sat.run_mono(root)
    sat.run(root)
    return root


def run(*arguments: object) -> Result:
    result = CliRunner().invoke(main, ["info", *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


def described(path: Path) -> dict[str, Any]:
    result = run(path, "--json")
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    assert found["path"] == str(path)
    return found


def facts(path: Path, *kinds: str) -> dict[str, Any]:
    """Return the facts of the first kind, after a look at all of them."""
    parts = described(path)["parts"]
    assert [part["kind"] for part in parts] == list(kinds)
    first: dict[str, Any] = parts[0]["facts"]
    return first


def test_a_model_directory(trained: Path) -> None:
    found = facts(trained / "sat", "model", "alignment")
    loaded = load_acoustic_model(trained / "sat")
    report = TreeReport.load(trained / "sat" / "tree-report.json")
    gmms, tree = loaded.model.gmms, found["tree"]
    assert (found["speaker_adaptive"], found["pdfs"], found["dim"]) == (True, gmms.num_pdfs, sat.DIM)
    assert found["gaussians"] == gmms.num_gaussians
    assert found["gaussians_of_a_pdf"]["mean"] == pytest.approx(gmms.num_gaussians / gmms.num_pdfs)
    assert found["inputs"]["lda_mllt"] is None
    assert (found["inputs"]["cmvn"], found["inputs"]["feature_dim"]) == ("none", sat.DIM)
    assert (found["transformed_speakers"], found["aligned_utterances"]) == (3, 24)
    assert (tree["leaves"], tree["roots"]) == (gmms.num_pdfs, report.num_roots)
    assert sum(tree["leaves_per_phone"].values()) == gmms.num_pdfs
    names = {symbol: phone for phone, symbol in enumerate(Lang.load(trained / "lang").phones.symbols)}
    assert {names[phone]: number for phone, number in tree["leaves_per_phone"].items()} == report.leaves_per_phone
    assert len(tree["questions"]) == len(report.questions) == sum(tree["questions_asked"].values()) > 0
    for told, asked in zip(tree["questions"], report.questions, strict=True):
        assert tuple(names[phone] for phone in told["of"]) == asked.phones
        assert told["at"] == {-1: "state", 0: "left", 1: "centre", 2: "right"}[asked.position]
        values = told["in"] if told["at"] == "state" else [names.get(phone, 0) for phone in told["in"]]
        assert tuple(values) == asked.values
        assert told["gain"] == asked.gain


def test_the_record_of_a_model(trained: Path, tmp_path: Path) -> None:
    record = described(trained / "sat")["records"]["train-gmm sat"]
    inputs = {str(Path(folder) / name) for folder, names in record["inputs"].items() for name in names}
    assert {str(trained / "mono" / "model.safetensors"), str(trained / "data" / "feats.ark")} <= inputs
    assert record["changed_inputs"] == []
    assert record["config"]["em"]["num_iters"] == 7
    assert set(record["versions"]) >= {"asrkit", "numpy"}
    assert record["figures"]["num_speakers"] == 3
    shutil.copytree(trained / "sat", tmp_path / "sat")
    known = read_json(tmp_path / "sat" / "stage.json")
    text = str(trained / "data" / "text")
    known["train-gmm sat"]["inputs"][text]["size"] += 1
    known["train-gmm sat"]["inputs"]["/no/such/file"] = {"size": 1, "mtime_ns": 1, "sha256": ""}
    known["align"] = {"outputs": {}}  # as an interrupted command leaves it
    write_json(tmp_path / "sat" / "stage.json", known)
    records = described(tmp_path / "sat")["records"]
    assert records["train-gmm sat"]["changed_inputs"] == [text, "/no/such/file"]
    assert records["align"] == {"finished": None}
    printed = run(tmp_path / "sat").output
    assert "made by asrkit align, which was interrupted" in printed
    assert "changed since: " in printed


def test_what_a_person_reads_of_a_model(trained: Path) -> None:
    printed = run(trained / "sat").output
    assert printed.startswith(f"{trained / 'sat'}: GMM-HMM model directory with alignments\n")
    for piece in (
        "speaker adaptive",
        "leaves per phone",
        "questions asked",
        "made by asrkit train-gmm sat, finished 20",
    ):
        assert piece in printed
    assert f"from {trained / 'mono'}: model.safetensors" in printed
    assert "\u00a0" not in printed
    assert max(map(len, printed.splitlines())) < 200


def test_word_positions_are_left_out_where_all_are_meant(tmp_path: Path) -> None:
    world = World(tmp_path, positions=True)
    found = facts(world.model, "model")
    assert set(found["tree"]["leaves_per_phone"]) == {"SIL", "SPN", "e", "n", "o", "s", "t", "y"}
    lang = Lang.load(world.model / "lang", world.model / "topology.json")
    ids = lang.phones.ids
    whole = [ids[f"e{end}"] for end in ("_B", "_E", "_I", "_S")]
    report = {
        "num_roots": 8,
        "num_leaves_split": 9,
        "num_leaves": 9,
        "num_frames": 10.0,
        "gain_split": 2.0,
        "gain": 1.0,
        "leaves_per_phone": {},
        "questions": [
            {"phones": whole, "position": 0, "values": [0, ids["t_B"], *whole], "gain": 3.0, "num_frames": 4}
        ],
    }
    write_json(world.model / "tree-report.json", report)
    (question,) = facts(world.model, "model")["tree"]["questions"]
    assert (question["of"], question["at"], question["in"]) == (["e"], "centre", ["(none)", "e", "t_B"])


def test_a_model_on_inputs_of_another(planted: World, tmp_path: Path) -> None:
    shutil.copytree(planted.model, tmp_path / "model")
    inputs = {"model_sha256": "ab" * 32, "dim": DIM, "fmllr": True}
    write_json(tmp_path / "model" / "inputs.json", inputs)
    assert facts(tmp_path / "model", "model")["feature_origin"] == inputs
    assert "feature origin" in run(tmp_path / "model").output


def test_a_data_directory(tmp_path: Path) -> None:
    data = make_data_dir(tmp_path / "data", num_speakers=3, num_utterances=2, segments=True, features=True)
    found = facts(data.path, "data")
    words = [word for one in data.utterances.values() for word in one.words or ()]
    counts = {name: found[name] for name in ("utterances", "speakers", "recordings", "segments")}
    assert counts == {"utterances": 6, "speakers": 3, "recordings": 3, "segments": True}
    assert (found["words"], found["word_types"]) == (len(words), len(set(words)))
    assert found["hours"] == pytest.approx(3 * (0.5 + 0.55) / 3600, rel=0.05)
    features = {"utterances": 6, "dim": 5, "kind": "mfcc", "frame_shift_ms": 10.0, "speakers_with_cmvn": 3}
    assert found["features"] == features


def test_a_data_directory_without_features_text_or_audio(tmp_path: Path) -> None:
    data = make_data_dir(tmp_path / "data")
    assert facts(data.path, "data")["hours"] == pytest.approx(2 * (0.5 + 0.55 + 0.6) / 3600, rel=1e-3)
    (data.path / "text").unlink()
    shutil.rmtree(data.path / "wav")
    found = facts(data.path, "data")
    assert (found["words"], found["features"], found["hours"]) == (None, None, None)
    assert "spk1-utt1.wav" in found["hours_unknown"]
    (data.path / "utt2spk").write_text("spk1-utt1\n")
    damaged = run(data.path)
    assert damaged.exit_code == 1
    assert "utt2spk:1" in damaged.output


def test_a_lang_directory(tmp_path: Path) -> None:
    lexicon = [Pronunciation("a", ("A",)), Pronunciation("ab", ("A", "B")), Pronunciation("ab", ("B",), 0.5)]
    config = LangConfig(position_dependent=True, num_states=2, num_silence_states=4, noise_phones=("NSN",))
    make_lang(lexicon, config).save(tmp_path / "lang")
    found = facts(tmp_path / "lang", "lang")
    assert (found["words"], found["pronunciations"]) == (3, 4)  # with the unknown word
    assert (found["phones"], found["phones_without_word_position"]) == (3 * 5 + 2 * 4, 5)
    assert found["silence_phones"][::5] == ["SIL", "SPN", "NSN"]
    assert (found["hmm_states"], found["position_dependent"]) == ([2, 4], True)
    assert found["silence_probabilities_of_pronunciations"] is False


def test_the_lang_directory_of_a_model(planted: World) -> None:
    assert facts(planted.model / "lang", "lang")["words"] == 4


@pytest.fixture(scope="module")
def used(planted: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A graph, a decoding and an alignment made with the planted model."""
    root = tmp_path_factory.mktemp("used")
    write_lines(root / "said.txt", ["yes no", "not yes"])
    commands = (
        ["make-graph", planted.root / "lang", root / "said.txt", planted.model, root / "graph"],
        ["decode", root / "graph", planted.model, planted.data, root / "decode"],
        ["score", planted.data, root / "decode"],
        ["align", planted.data, planted.model, root / "ali", "--format", "ctm"],
    )
    for command in commands:
        result = CliRunner().invoke(main, [str(one) for one in command])
        assert result.exit_code == 0, result.output
    return root


def test_a_graph_directory(planted: World, used: Path) -> None:
    found = facts(used / "graph", "graph")
    figures = read_json(used / "graph" / "stage.json")["make-graph"]["figures"]
    assert (found["states"], found["arcs"]) == (figures["states"], figures["arcs"])
    assert found["language_model"] == str(used / "said.txt")
    assert (found["model"], found["pdfs"]) == (str(planted.model), len(planted.means))


def test_an_alignment_directory(planted: World, used: Path) -> None:
    parts = described(used / "ali")["parts"]
    assert [part["kind"] for part in parts] == ["model", "alignment"]
    found = parts[1]["facts"]
    assert (found["utterances"], found["frames"]) == (4, sum(map(len, planted.pdf_path.values())))
    assert (found["formats"], found["failed_utterances"], found["unknown_words"]) == (["ctm"], 0, 1)


def test_a_decoding_directory(used: Path) -> None:
    found = facts(used / "decode", "decoding")
    best = read_json(used / "decode" / "best.json")
    assert (found["utterances"], found["words"], found["best"]) == (len(SAID), 2 * len(SAID), best)
    assert found["settings"] == len(list((used / "decode").glob("hyp.w*.txt")))


@pytest.mark.parametrize("name", ["lm.arpa", "lm.arpa.gz", "without-ending"])
def test_an_arpa_file(tmp_path: Path, name: str) -> None:
    packed = name.endswith(".gz")
    (tmp_path / name).write_bytes(gzip.compress(ARPA.encode()) if packed else ARPA.encode())
    found = facts(tmp_path / name, "arpa")
    assert (found["order"], found["words"], found["ngrams"], found["gzipped"]) == (2, 4, [4, 1], packed)


def test_a_damaged_arpa_file(tmp_path: Path) -> None:
    write_lines(tmp_path / "lm.arpa", ["\\data\\", "ngram 2=1"])
    result = run(tmp_path / "lm.arpa")
    assert result.exit_code == 1
    assert "lm.arpa:2: 'ngram 2=' found, expected 'ngram 1='" in result.output


def test_a_g2p_model_and_its_record(tmp_path: Path) -> None:
    write_lines(tmp_path / "lexicon", ["ab A B", "ba B A", "bb B B"])
    out = tmp_path / "exp" / "g2p.safetensors"
    train_g2p_model(tmp_path / "lexicon", out, G2pConfig(order=2), RunOptions(), held_out=0.0)
    found = facts(out, "g2p")
    assert (found["letters"], found["phones"], found["order"]) == (["a", "b"], ["A", "B"], 2)
    assert found["states"] > 1 < found["arcs"]
    assert "made by asrkit train-g2p" in run(out).output


def test_another_model_file(planted: World, tmp_path: Path) -> None:
    found = facts(planted.model / "model.safetensors", "container")
    assert (found["kind"], found["tensors"]["gmm.means"]) == ("gmm-hmm", f"{len(planted.means)}x{DIM}")
    arrays = {"w": np.zeros((2, 3), np.float32), "b": np.zeros(5, np.float32)}
    save_model(tmp_path / "new.safetensors", "network", arrays, {"layers": 2})
    found = facts(tmp_path / "new.safetensors", "container")
    assert (found["kind"], found["parameters"], found["meta"]) == ("network", 11, {"layers": 2})


def test_features_with_and_without_their_index(tmp_path: Path) -> None:
    with ArchiveWriter(tmp_path, "feats") as writer:
        for key, rows in (("a", 3), ("b", 7), ("c", 5)):
            writer.write(key, np.ones((rows, 13), np.float32))
        writer.write("d", np.arange(4))
    for name, kind in (("feats.scp", "index"), ("feats.ark", "archive")):
        found = facts(tmp_path / name, kind)
        assert (found["entries"], found["rows"]) == (4, 19)
        assert found["rows_of_an_entry"] == {"fewest": 3, "most": 7}
        matrices = {"entries": 3, "dtype": "float32", "columns": 13}
        assert found["hold"] == [matrices, {"entries": 1, "dtype": "int32", "columns": None}]
    assert found.get("archives") is None
    (tmp_path / "cut.ark").write_bytes((tmp_path / "feats.ark").read_bytes()[:-9])
    cut = run(tmp_path / "cut.ark")
    assert cut.exit_code == 1
    assert "make the archive again" in cut.output


def test_an_archive_of_text(tmp_path: Path) -> None:
    (tmp_path / "text.ark").write_text("a  [\n 1 2 3\n 4 5 6 ]\n")
    assert facts(tmp_path / "text.ark", "archive")["rows"] == 2


@pytest.mark.parametrize("text", [False, True])
def test_lattices_with_and_without_their_index(tmp_path: Path, text: bool) -> None:
    lattices = [random_lattice(np.random.default_rng(seed), num_frames=5 + seed) for seed in range(3)]
    with LatticeWriter(tmp_path, "lat", text=text) as writer:
        for key, lattice in zip("abc", lattices):
            writer.write(key, lattice)
    with gzip.open(tmp_path / "lat.1.gz", "wb") as handle:
        handle.write((tmp_path / "lat.ark").read_bytes())
    arcs_of = [lattice.num_arcs for lattice in lattices]
    frames = sum(lattice.num_frames for lattice in lattices)
    for name, kind in (("lat.scp", "lattice_index"), ("lat.ark", "lattices"), ("lat.1.gz", "lattices")):
        found = facts(tmp_path / name, kind)
        assert (found["utterances"], found["frames"], frames) == (3, 18, 18)
        assert (found["states"], found["arcs"]) == (sum(one.num_states for one in lattices), sum(arcs_of))
        assert found["arcs_of_the_largest"] == max(arcs_of)
        assert found["depth"] == pytest.approx(sum(one.depth * one.num_frames for one in lattices) / frames)
        assert found["deepest"]["depth"] == pytest.approx(max(one.depth for one in lattices))
    (tmp_path / "cut.ark").write_bytes((tmp_path / "lat.ark").read_bytes()[:-9])
    cut = run(tmp_path / "cut.ark")
    assert cut.exit_code == 1
    assert "cut.ark: c: the file ends before the lattice does" in cut.output


def test_files_are_told_of_by_the_record_that_names_them(trained: Path) -> None:
    records = described(trained / "sat" / "ali.scp")["records"]
    assert list(records) == ["train-gmm sat"]
    assert described(trained / "data" / "feats.scp")["records"] == {}
    assert len(ArchiveReader(trained / "sat" / "ali.scp")) == 24


def test_a_directory_with_nothing_but_a_record(tmp_path: Path) -> None:
    make_data_dir(tmp_path / "data")
    out = tmp_path / "out"
    out.mkdir()
    write_json(out / "stage.json", {"prepare an4": {"config": {}, "inputs": {}, "outputs": {}, "seconds": 1.5}})
    assert described(out)["parts"] == []
    printed = run(out).output
    assert "directory that asrkit wrote to" in printed
    assert "made by asrkit prepare an4" in printed
    write_json(out / "stage.json", [1])
    assert "not the record of any command" in run(out).output


def test_what_is_unknown_is_told_with_what_was_looked_for(tmp_path: Path) -> None:
    write_lines(tmp_path / "notes.txt", ["some words"])
    (tmp_path / "sub").mkdir()
    file, folder, nothing = run(tmp_path / "notes.txt"), run(tmp_path), run(tmp_path / "nothing")
    assert {result.exit_code for result in (file, folder, nothing)} == {1}
    for piece in ("ARPA (a \\data\\ line)", "G2P model", "lines 'key file:offset'", "Kaldi archive"):
        assert piece in file.output
    for piece in ("model.safetensors", "wav.scp, utt2spk", "lang.json", "HCLG.fst", "found: notes.txt, sub/"):
        assert piece in folder.output
    assert "no such file or directory" in nothing.output
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "bytes").write_bytes(bytes(range(256)))
    (tmp_path / "bad.gz").write_bytes(b"\x1f\x8b\x08garbage")
    assert {run(tmp_path / name).exit_code for name in ("empty", "bytes", "bad.gz")} == {1}


def test_an_unfinished_model_is_not_taken_for_one(trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained / "mono", tmp_path / "mono")
    (tmp_path / "mono" / "pipeline.json").unlink()
    result = run(tmp_path / "mono")
    assert result.exit_code == 1
    assert "not a finished model directory: pipeline.json missing" in result.output

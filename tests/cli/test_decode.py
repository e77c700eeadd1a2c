"""`asrkit decode` on a planted world: three words, a model whose Gaussians stand far apart, features drawn from it."""

from __future__ import annotations

import itertools
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from asrkit.cli.main import main
from asrkit.core.archives import ArchiveReader, ArchiveWriter
from asrkit.core.errors import ConfigError
from asrkit.core.files import read_json, read_lines, write_json, write_lines
from asrkit.data.datadir import DataDir, Utterance, read_text
from asrkit.features.config import FrontEndConfig
from asrkit.features.frontend import save_front_end
from asrkit.features.pipeline import PipelineConfig
from asrkit.gmm.diag import DiagGmms
from asrkit.gmm.model import GmmHmm
from asrkit.graph.arrays import load_graph
from asrkit.hmm.transitions import TransitionModel
from asrkit.hmm.tree import monophone_tree
from asrkit.lang.langdir import Lang, LangConfig, make_lang
from asrkit.lang.lexicon import Pronunciation
from asrkit.lang.symbols import SymbolTable
from asrkit.lattice.archive import LatticeReader
from asrkit.lattice.lattice import LatticeScales
from asrkit.lattice.paths import n_best
from asrkit.stages.acoustic import save_model_folder
from asrkit.stages.decode import DecodeConfig
from asrkit.stages.make_graph import MakeGraphConfig, make_graph
from asrkit.stages.record import RunOptions
from tests.graph.languages import write_arpa

# "no" begins "not", so that a determinised graph passes its label late.
LEXICON = (
    Pronunciation("yes", ("y", "e", "s")),
    Pronunciation("no", ("n", "o")),
    Pronunciation("not", ("n", "o", "t")),
)
UNIGRAM = {"<s>": (-99.0, 0.0), "</s>": (-0.5, 0.0), "yes": (-0.4, 0.0), "no": (-0.6, 0.0), "not": (-0.8, 0.0)}
# What is said ("_" is silence), and where the utterance starts in its recording.
SAID = {"ann-1": "_ yes no _", "ann-2": "not _ yes", "bob-1": "_ no _ not yes no _"}
OFFSET_SECS = {"ann-1": 0.0, "ann-2": 1.0, "bob-1": 0.25}
DIM = 6
FRAMES_PER_STATE = 3


class World:
    """Paths of graph, model and data, and the frames of every word of an utterance."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.graph, self.model, self.data = root / "graph", root / "model", root / "my data"
        self.lang = make_lang(LEXICON, LangConfig(num_states=2, num_silence_states=3))
        self.lang.save(root / "lang")
        self.spans: dict[str, list[tuple[int, int]]] = {}
        self._make_model()
        self._make_data()
        arpa = write_arpa(root / "lm.arpa", UNIGRAM, 1)
        make_graph(root / "lang", arpa, self.model, self.graph, MakeGraphConfig(), RunOptions())

    def _make_model(self) -> None:
        lang: Lang = self.lang
        tree = monophone_tree(lang.topology, lang.shared_phones)
        transitions = TransitionModel.from_tree(tree, lang.topology)
        rng = np.random.default_rng(0)
        means = (4 * rng.normal(size=(tree.num_pdfs, DIM))).astype(np.float32)
        ones = np.ones(tree.num_pdfs, dtype=np.float32)
        offsets = np.arange(tree.num_pdfs + 1, dtype=np.int32)
        self.means = means
        self.pdfs = {}
        for phone, state, pdf in transitions.triples:
            self.pdfs[phone, state] = pdf
        model = GmmHmm(tree, transitions, DiagGmms(ones, means, np.ones_like(means), offsets))
        pipeline = PipelineConfig(cmvn="none", delta_order=0)
        save_model_folder(self.model, FrontEndConfig(), pipeline, self.root / "lang", model)

    def _make_data(self) -> None:
        rng = np.random.default_rng(1)
        phones = {entry.word: [self.lang.phones.ids[phone] for phone in entry.phones] for entry in LEXICON}
        with ArchiveWriter(self.data, "feats") as writer:
            for key, said in SAID.items():
                pdfs: list[int] = []
                self.spans[key] = []
                for word in said.split():
                    start = len(pdfs)
                    for phone in phones.get(word, [self.lang.optional_silence]):
                        states = itertools.takewhile(lambda at: (phone, at) in self.pdfs, itertools.count())  # noqa: B023
                        pdfs += [self.pdfs[phone, state] for state in states for _ in range(FRAMES_PER_STATE)]
                    if word != "_":
                        self.spans[key].append((start, len(pdfs)))
                noise = rng.normal(size=(len(pdfs), DIM)).astype(np.float32)
                writer.write(key, self.means[pdfs] + noise)
        utterances = {
            key: Utterance(key, f"{key}-rec", key.split("-")[0], None, start, start + 10)
            for key, start in OFFSET_SECS.items()
        }
        DataDir(self.data, utterances, {f"{key}-rec": "nowhere.wav" for key in SAID}).save()
        save_front_end(self.data, FrontEndConfig())


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("world"))


@pytest.fixture
def world(built: World, tmp_path: Path) -> World:
    """The world, with directories of its own to damage."""
    mine = World.__new__(World)
    mine.__dict__.update(built.__dict__)
    for name in ("graph", "model", "data"):
        shutil.copytree(getattr(built, name), tmp_path / getattr(built, name).name)
        setattr(mine, name, tmp_path / getattr(built, name).name)
    return mine


def run(world: World, out: Path, *arguments: object) -> Result:
    places = [str(path) for path in (world.graph, world.model, world.data, out)]
    return CliRunner().invoke(main, ["decode", *places, *map(str, arguments)])


def figures(result: Result) -> dict[str, object]:
    assert result.exit_code == 0, result.output
    found: dict[str, object] = json.loads(result.stdout)["figures"]
    return found


def words_of(said: str) -> tuple[str, ...]:
    return tuple(word for word in said.split() if word != "_")


def test_the_planted_words_are_found_with_their_times(world: World, tmp_path: Path) -> None:
    report = figures(run(world, tmp_path / "out", "--json"))
    assert read_text(tmp_path / "out" / "hyp.txt") == {key: words_of(said) for key, said in SAID.items()}
    assert (tmp_path / "out" / "hyp.w10_p0.txt").read_bytes() == (tmp_path / "out" / "hyp.txt").read_bytes()
    rows = [line.split() for line in read_lines(tmp_path / "out" / "hyp.ctm")]
    expected = [
        [f"{key}-rec", "1", OFFSET_SECS[key] + first / 100, (last - first) / 100, word]
        for key, said in SAID.items()
        for word, (first, last) in zip(words_of(said), world.spans[key])
    ]
    # Noise may move the border of two states by a frame or two.
    assert [[name, channel, word] for name, channel, _, _, word, _ in rows] == [[r[0], r[1], r[4]] for r in expected]
    assert all(0.5 < float(r[5]) <= 1 for r in rows)
    np.testing.assert_allclose([float(r[2]) for r in rows], [r[2] for r in expected], atol=0.021)
    np.testing.assert_allclose([float(r[3]) for r in rows], [r[3] for r in expected], atol=0.041)
    assert report["utterances"] == 3
    assert report["frames"] == sum(len(m) for m in ArchiveReader(world.data / "feats.scp").values())
    assert report["words"] == 8
    assert report["no_final_state"] == 0
    assert report["rough_word_times"] == 0
    # Unit Gaussians around their own means.
    expected_loglike = -DIM / 2 * (1 + np.log(2 * np.pi))
    assert report["loglike_per_frame"] == pytest.approx(expected_loglike, abs=0.6)
    assert float(str(report["search_x_real_time"])) > 0
    assert float(str(report["loglikes_x_real_time"])) > 0


def test_results_do_not_depend_on_the_number_of_jobs(world: World, tmp_path: Path) -> None:
    settings = [
        "--set",
        "lm_weights=[10, 0.5]",
        "--set",
        "insertion_penalties=[0, 2.5]",
        "--set",
        "save_alignments=true",
    ]
    for jobs in (1, 2, 4):
        assert run(world, tmp_path / f"out{jobs}", "-j", jobs, *settings).exit_code == 0
    names = sorted(path.name for path in (tmp_path / "out1").glob("hyp*"))
    assert len(names) == 7
    for jobs in (2, 4):
        for name in [*names, "ali.ark", "lat.ark"]:
            assert (tmp_path / f"out{jobs}" / name).read_bytes() == (tmp_path / "out1" / name).read_bytes()


def test_settings_are_searched_by_themselves_and_old_ones_removed(world: World, tmp_path: Path) -> None:
    out = tmp_path / "out"
    both = ["--set", "lm_weights=[10, 12.5]", "--set", "insertion_penalties=[0, 400]", "--set", "lattice_beam=0"]
    report = figures(run(world, out, "--json", *both))
    assert report["settings"] == 4
    assert (report["lm_weight"], report["insertion_penalty"]) == (10.0, 0.0)
    found = sorted(path.name for path in out.glob("hyp.w*"))
    assert found == ["hyp.w10_p0.txt", "hyp.w10_p400.txt", "hyp.w12.5_p0.txt", "hyp.w12.5_p400.txt"]
    # So high a penalty leaves fewer words.
    count = {name: sum(map(len, read_text(out / name).values())) for name in found}
    assert count["hyp.w10_p400.txt"] < count["hyp.w10_p0.txt"] == 8
    alone = tmp_path / "alone"
    figures(run(world, alone, "--json", "--set", "lm_weights=10", "--set", "insertion_penalties=400"))
    assert (alone / "hyp.txt").read_bytes() == (out / "hyp.w10_p400.txt").read_bytes()
    assert not list(out.glob("lat.*"))
    assert run(world, out).exit_code == 0
    assert [path.name for path in out.glob("hyp.w*")] == ["hyp.w10_p0.txt"]


@pytest.mark.parametrize("span", [1.6, 100])
def test_settings_read_off_lattices_are_those_searched_by_themselves(world: World, tmp_path: Path, span: float) -> None:
    both = ["--set", "lm_weights=[10, 300]", "--set", "insertion_penalties=[0, 2.5]", "--set", "beam=1000"]
    one, other = tmp_path / "read", tmp_path / "searched"
    assert run(world, one, *both, "--set", "lattice_beam=15", "--set", f"lattice_span={span}").exit_code == 0
    assert run(world, other, *both, "--set", "lattice_beam=0").exit_code == 0
    names = sorted(path.name for path in one.glob("hyp.w*"))
    assert len(names) == 4
    for name in names:
        assert (one / name).read_bytes() == (other / name).read_bytes()
    assert (one / "hyp.w10_p0.txt").read_bytes() != (one / "hyp.w300_p2.5.txt").read_bytes()
    # Words of the second are where those of the lattice are, without confidences.
    rows = [[line.split() for line in read_lines(folder / "hyp.ctm")] for folder in (one, other)]
    assert [row[:5] for row in rows[0]] == rows[1]


def test_a_lattice_serves_weights_near_its_own() -> None:
    weights = (12.0, 6.0, 8.0, 10.0, 16.0, 20.0, 24.0)
    config = DecodeConfig(lm_weights=weights, insertion_penalties=(0.0, 1.0))
    served = [sorted({config.settings[place].lm_weight for place in places}) for places in config.lattice_places]
    assert served == [[8.0, 10.0, 12.0], [16.0, 20.0, 24.0], [6.0]]  # that of the first weight first
    assert sorted(place for places in config.lattice_places for place in places) == list(range(14))
    assert [round(1 / one.acoustic_scale) for one in config.searches] == [12, 24, 6]
    assert {one.lattice_beam for one in config.searches} == {config.lattice_beam}
    assert len(replace(config, lattice_span=4.0).searches) == 1
    assert len(replace(config, lattice_beam=0.0).searches) == 14
    with pytest.raises(ConfigError, match=r"lattice_span is 0\.5"):
        DecodeConfig(lattice_span=0.5)


def test_lattices_and_alternatives_are_written_and_removed(world: World, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run(world, out, "--set", "num_best=3", "--set", "lattice_beam=40").exit_code == 0
    lattices = LatticeReader(out / "lat.scp")
    assert list(lattices) == list(SAID)
    words = SymbolTable.load(world.graph / "words.txt")
    objects = [json.loads(line) for line in read_lines(out / "hyp.jsonl")]
    assert [one["utterance_id"] for one in objects] == list(SAID)
    for one in objects:
        assert (one["lm_weight"], one["insertion_penalty"]) == (10.0, 0.0)
        lattice = lattices[one["utterance_id"]]
        paths = n_best(lattice, 3, LatticeScales(acoustic_scale=0.1))
        assert len(paths) == 3
        assert [other["text"].split() for other in one["nbest"]] == [
            [words.symbols[word] for word in path.words] for path in paths
        ]
        assert [other["cost"] for other in one["nbest"]] == pytest.approx([path.cost for path in paths], abs=0.01)
        chances = [other["probability"] for other in one["nbest"]]
        assert 1 >= chances[0] > chances[1] > chances[2] > 0
        assert one["words"] == one["nbest"][0]["words"]
        assert one["text"] == " ".join(words_of(SAID[one["utterance_id"]]))
        begin = OFFSET_SECS[one["utterance_id"]]
        for word, (first, last) in zip(one["words"], world.spans[one["utterance_id"]]):
            assert (word["start"], word["end"]) == pytest.approx((begin + first / 100, begin + last / 100), abs=0.021)
            assert 0.5 < word["confidence"] <= 1
    assert run(world, out, "--set", "save_lattices=false").exit_code == 0
    assert not list(out.glob("lat.*"))
    assert (out / "hyp.jsonl").exists()
    assert run(world, out, "--set", "lattice_beam=0").exit_code == 0
    assert not (out / "hyp.jsonl").exists()


def test_words_of_least_risk(world: World, tmp_path: Path) -> None:
    report = figures(run(world, tmp_path / "out", "--json", "--set", "least_risk=true"))
    assert report["lattice_depth"] >= 1  # type: ignore[operator]
    assert read_text(tmp_path / "out" / "hyp.txt") == {key: words_of(said) for key, said in SAID.items()}
    rows = [line.split() for line in read_lines(tmp_path / "out" / "hyp.ctm")]
    assert [row[4] for row in rows] == [word for said in SAID.values() for word in words_of(said)]
    assert all(0.5 < float(row[5]) <= 1 for row in rows)
    # All are on a path, where their phones say when: pauses, also those before and behind, are not in them.
    assert report["rough_word_times"] == 0
    for line in read_lines(tmp_path / "out" / "hyp.jsonl"):
        one = json.loads(line)
        begin = OFFSET_SECS[one["utterance_id"]]
        for word, (first, last) in zip(one["words"], world.spans[one["utterance_id"]], strict=True):
            assert (word["start"], word["end"]) == pytest.approx((begin + first / 100, begin + last / 100), abs=0.021)


def test_the_choice_of_a_development_set_is_applied(world: World, tmp_path: Path) -> None:
    write_json(tmp_path / "dev" / "best.json", {"lm_weight": 12.5, "insertion_penalty": 400.0, "wer": 3.0})
    report = figures(run(world, tmp_path / "out", "--json", "--from", tmp_path / "dev" / "best.json"))
    assert (report["lm_weight"], report["insertion_penalty"], report["settings"]) == (12.5, 400.0, 1)
    assert (tmp_path / "out" / "hyp.w12.5_p400.txt").exists()
    again = run(world, tmp_path / "out", "--from", tmp_path / "dev")
    assert "up to date" in again.output


def test_alignments_are_those_of_the_graph(world: World, tmp_path: Path) -> None:
    assert run(world, tmp_path / "out", "--set", "save_alignments=true").exit_code == 0
    alignments = ArchiveReader(tmp_path / "out" / "ali.scp")
    feats = ArchiveReader(world.data / "feats.scp")
    assert list(alignments) == list(SAID)
    for key, alignment in alignments.items():
        assert alignment.dtype == np.int32
        assert len(alignment) == len(feats[key])
    assert max(int(a.max()) for a in alignments.values()) <= int(load_graph(world.graph / "HCLG.fst").ilabels.max())


def test_a_second_run_does_nothing_and_a_changed_beam_says_so(world: World, tmp_path: Path) -> None:
    assert run(world, tmp_path / "out").exit_code == 0
    assert "up to date" in run(world, tmp_path / "out").output
    changed = run(world, tmp_path / "out", "--set", "beam=9")
    assert "beam was 13.0, is 9.0" in changed.output


def test_an_utterance_that_ends_inside_a_word_is_flagged_and_kept(world: World, tmp_path: Path) -> None:
    feats = {key: np.array(value) for key, value in ArchiveReader(world.data / "feats.scp").items()}
    with ArchiveWriter(world.data, "feats") as writer:
        for key, value in feats.items():
            # Inside the "e" of "yes".
            writer.write(key, value[: world.spans[key][1][0] + 8] if key == "ann-2" else value)
    result = run(world, tmp_path / "out", "--set", "beam=4", "--set", "min_active=1")
    assert result.exit_code == 0, result.output
    assert "1 utterances did not reach a final state" in result.output
    assert "ann-2" in result.output
    assert read_text(tmp_path / "out" / "hyp.txt")["ann-2"] == ("not", "yes")
    record = read_json(tmp_path / "out" / "stage.json")["decode"]["figures"]
    assert record["no_final_state"] == 1
    assert record["rough_word_times"] == 1


def test_bad_utterances_are_named(world: World, tmp_path: Path) -> None:
    feats = {key: np.array(value) for key, value in ArchiveReader(world.data / "feats.scp").items()}
    with ArchiveWriter(world.data, "feats") as writer:
        for key, value in feats.items():
            if key == "ann-2":
                value[4] = np.nan
            if key != "bob-1":
                writer.write(key, value)
    stopped = run(world, tmp_path / "out")
    assert stopped.exit_code == 3
    assert "2 of 3 utterances failed" in stopped.output
    assert not (tmp_path / "out" / "hyp.txt").exists()
    result = run(world, tmp_path / "out", "--max-failed", 0.9)
    assert result.exit_code == 0
    assert "failed: bob-1: no features" in result.output
    assert "failed: ann-2: a loglike of frame 4 is NaN" in result.output
    assert list(read_text(tmp_path / "out" / "hyp.txt")) == ["ann-1"]


def damage_graph_for_another_model(world: World) -> None:
    described = read_json(world.graph / "graph.json")
    write_json(world.graph / "graph.json", {**described, "model_checksum": "0" * 64})


def forget_words(world: World) -> None:
    write_lines(world.graph / "words.txt", read_lines(world.graph / "words.txt")[:2])


def cut_graph(world: World) -> None:
    path = world.graph / "HCLG.fst"
    path.write_bytes(path.read_bytes()[:-7])


def other_front_end(world: World) -> None:
    save_front_end(world.data, FrontEndConfig(num_mel_bins=30))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (damage_graph_for_another_model, "made for another model"),
        (forget_words, "words that words.txt of 2 words does not"),
        (cut_graph, "the file ends before the graph does"),
        (other_front_end, "num_mel_bins"),
        (lambda world: (world.graph / "graph.json").unlink(), "not a graph directory"),
        (lambda world: (world.graph / "HCLG.fst").unlink(), "no such graph file"),
        (lambda world: shutil.rmtree(world.model), "no such model directory"),
        (lambda world: (world.data / "feats.scp").unlink(), "no feats.scp"),
        (lambda world: shutil.rmtree(world.data), "no such data directory"),
    ],
)
def test_inputs_that_are_absent_or_do_not_belong_together(
    world: World, tmp_path: Path, damage: object, message: str
) -> None:
    damage(world)  # type: ignore[operator]
    result = run(world, tmp_path / "out")
    assert result.exit_code == 1
    assert message in result.output
    assert "Traceback" not in result.output
    assert not (tmp_path / "out" / "hyp.txt").exists()


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("beam=0", "beam is 0.0"),
        ("max_active=0", "max_active is 0"),
        ("lm_weights=[]", "lm_weights is empty"),
        ("lm_weights=[10, 0]", "an LM weight is 0.0"),
        ("lm_weights=[10, 10]", "lm_weights names a number twice: 10, 10"),
        ("insertion_penalties=inf", "word_insertion_penalty is inf"),
        ("lm_weight=10", "did you mean lm_weights?"),
        ("adapt_lm_weight=0", "an LM weight is 0.0"),
        ("first_beam=0", "beam is 0.0"),
        ("lattice_beam=-1", "lattice_beam is -1.0"),
        ("num_best=0", "num_best is 0"),
        ("posterior_scale=0", "posterior_scale is 0.0"),
        ("first_max_active=0", "max_active is 0"),
        ("adaptation.silence_weight=2", "silence_weight is 2.0"),
        ("adaptation.fmllr.update=best", "adaptation.fmllr.update is 'best'"),
    ],
)
def test_configurations_that_make_no_sense(world: World, tmp_path: Path, setting: str, message: str) -> None:
    result = run(world, tmp_path / "out", "--set", setting)
    assert result.exit_code == 1
    assert message in result.output


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file"),
        ({"lm_weight": 12}, "insertion_penalty is None"),
        ({"lm_weight": "x", "insertion_penalty": 0}, "lm_weight is 'x'"),
        ({"lm_weight": -2, "insertion_penalty": 0}, "an LM weight is -2.0"),
    ],
)
def test_a_choice_that_cannot_be_read(world: World, tmp_path: Path, content: object, message: str) -> None:
    if content is not None:
        write_json(tmp_path / "best.json", content)
    result = run(world, tmp_path / "out", "--from", tmp_path / "best.json")
    assert result.exit_code == 1
    assert message in result.output


def planted_transforms() -> dict[str, np.ndarray]:
    """What moves each speaker's features to where the model expects them."""
    rng = np.random.default_rng(4)
    return {
        speaker: np.hstack([np.eye(DIM) + 0.1 * rng.normal(size=(DIM, DIM)), rng.normal(size=(DIM, 1))])
        for speaker in ("ann", "bob")
    }


@pytest.fixture
def sat_world(world: World) -> World:
    """A speaker-adaptive model, and speakers who need it."""
    model = GmmHmm.load(world.model)
    gmms = model.gmms
    wide = DiagGmms(gmms.weights, gmms.means, gmms.variances + 4, gmms.offsets)
    replace(model, alignment_gmms=wide).save(world.model)
    planted = planted_transforms()
    feats = {key: np.array(value) for key, value in ArchiveReader(world.data / "feats.scp").items()}
    with ArchiveWriter(world.data, "feats") as writer:
        for key, value in feats.items():
            transform = planted[key.split("-")[0]]
            moved = np.linalg.solve(transform[:, :DIM], (value - transform[:, DIM]).T).T
            writer.write(key, moved.astype(np.float32))
    return world


# Three utterances have few frames for transforms of 42 numbers.
FEW = ("--set", "adaptation.fmllr.min_count=60", "--set", "lm_weights=1", "--set", "adapt_lm_weight=1")


def test_inputs_are_adapted_to_their_speakers(sat_world: World, tmp_path: Path) -> None:
    report = figures(run(sat_world, tmp_path / "out", "--json", *FEW))
    alone = figures(run(sat_world, tmp_path / "alone", "--json", *FEW, "--set", "adapt=false"))
    assert read_text(tmp_path / "out" / "hyp.txt") == {key: words_of(said) for key, said in SAID.items()}
    kinds = {name: number for name, number in report.items() if name.startswith("speakers")}
    assert kinds == {"speakers_full": 2, "speakers_diag": 0, "speakers_offset": 0, "speakers_none": 0}
    assert float(str(report["fmllr_gain_1"])) > 1
    assert 0 <= float(str(report["fmllr_gain_2"])) < 0.2
    assert not {"fmllr_gain_1", "speakers_full"} & set(alone)
    # Adapted, the frames lie around their own means as they were drawn; the wide mixtures cannot come near.
    drawn = -DIM / 2 * (1 + np.log(2 * np.pi))
    assert float(str(report["loglike_per_frame"])) > drawn - 0.6
    assert float(str(alone["loglike_per_frame"])) < drawn - 1.5


def test_the_transforms_of_the_speakers_are_written(sat_world: World, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run(sat_world, out, *FEW).exit_code == 0
    transforms = ArchiveReader(out / "trans.scp")
    assert list(transforms) == ["ann", "bob"]
    for speaker, planted in planted_transforms().items():
        found = transforms[speaker]
        assert (found.shape, found.dtype) == ((DIM, DIM + 1), np.float32)
        # Silence hardly counts, and there are 60 other frames at most: near the planted transform, nearer than none.
        feats = [np.asarray(f) for key, f in ArchiveReader(sat_world.data / "feats.scp").items() if speaker in key]
        frames = np.concatenate(feats)
        wrong = np.abs(frames @ (found[:, :DIM] - planted[:, :DIM]).T + found[:, DIM] - planted[:, DIM]).mean()
        assert wrong < 0.5 * np.abs(frames @ (np.eye(DIM) - planted[:, :DIM]).T - planted[:, DIM]).mean()
    # Without adaptation there are none, and none of an earlier run stay.
    assert run(sat_world, out, *FEW, "--set", "adapt=false").exit_code == 0
    assert not list(out.glob("trans.*"))


def test_a_speaker_with_too_little_speech_gets_a_poorer_transform(sat_world: World, tmp_path: Path) -> None:
    fewer = ("--set", "adaptation.fmllr.min_count=90", "--set", "adaptation.fmllr.diag_min_count=62")
    report = figures(run(sat_world, tmp_path / "out", "--json", *FEW, *fewer, "--set", "adaptation.silence_weight=0"))
    # Ann says five words of 66 frames, Bob four of 60.
    kinds = {name: number for name, number in report.items() if name.startswith("speakers")}
    assert kinds == {"speakers_full": 0, "speakers_diag": 1, "speakers_offset": 1, "speakers_none": 0}
    scale = ArchiveReader(tmp_path / "out" / "trans.scp")["bob"][:, :DIM]
    assert scale.tolist() == np.eye(DIM).tolist()


def test_adapted_results_do_not_depend_on_the_number_of_jobs(sat_world: World, tmp_path: Path) -> None:
    for jobs in (1, 2, 4):
        assert run(sat_world, tmp_path / f"out{jobs}", "-j", jobs, *FEW).exit_code == 0
    for name in ("trans.ark", "hyp.txt", "hyp.ctm"):
        first, second, fourth = ((tmp_path / f"out{jobs}" / name).read_bytes() for jobs in (1, 2, 4))
        assert first == second == fourth


def test_an_utterance_that_cannot_be_searched_does_not_spoil_the_transforms(sat_world: World, tmp_path: Path) -> None:
    assert run(sat_world, tmp_path / "whole", *FEW).exit_code == 0
    feats = {key: np.array(value) for key, value in ArchiveReader(sat_world.data / "feats.scp").items()}
    feats["bob-1"][4] = np.nan
    with ArchiveWriter(sat_world.data, "feats") as writer:
        for key, value in feats.items():
            writer.write(key, value)
    result = run(sat_world, tmp_path / "out", *FEW, "--max-failed", 0.5)
    assert result.exit_code == 0, result.output
    assert "failed: bob-1: a loglike of frame 4 is NaN" in result.output
    whole, found = (ArchiveReader(tmp_path / name / "trans.scp") for name in ("whole", "out"))
    assert found["ann"].tolist() == whole["ann"].tolist()
    assert found["bob"].tolist() == np.eye(DIM, DIM + 1).tolist()


def test_a_second_adapted_run_does_nothing_until_a_transform_is_lost(sat_world: World, tmp_path: Path) -> None:
    assert run(sat_world, tmp_path / "out", *FEW).exit_code == 0
    assert "up to date" in run(sat_world, tmp_path / "out", *FEW).output
    (tmp_path / "out" / "trans.ark").unlink()
    assert "trans.ark is missing" in run(sat_world, tmp_path / "out", *FEW).output

"""`asrkit decode --with`: several models of one tree, each with its own features, searched as one."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from asrkit.cli.main import main
from asrkit.core.archives import ArchiveReader, ArchiveWriter
from asrkit.core.files import read_lines, write_lines
from asrkit.data.datadir import read_text
from asrkit.features.config import FrontEndConfig
from asrkit.features.frontend import save_front_end
from asrkit.features.pipeline import PipelineConfig
from asrkit.gmm.diag import DiagGmms
from asrkit.gmm.model import GmmHmm
from asrkit.hmm.transitions import TransitionModel
from asrkit.hmm.tree import monophone_tree
from asrkit.lang.langdir import Lang, LangConfig, make_lang
from asrkit.lattice.archive import LatticeReader
from asrkit.lattice.lattice import LatticeScales
from asrkit.lattice.paths import n_best
from asrkit.nnet.acoustic import NnetHmm
from asrkit.nnet.layers.config import MlpConfig
from asrkit.nnet.network import NetworkShape, load_arrays
from asrkit.nnet.normalisation import InputNormalisation
from asrkit.stages.acoustic import load_acoustic_model, save_model_folder
from tests.cli.test_decode import DIM, LEXICON, SAID, World

HALF = DIM // 2


class TwoEars(World):
    """The world, heard by two models with half of the dimensions each, in data directories of their own.

    ``left`` and ``right`` are mixtures, ``left_net`` and ``right_net`` networks with the very posteriors of these;
    ``deaf`` scores all pdfs of another world.
    """

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        whole = load_acoustic_model(self.model).model
        self.structure = (whole.tree, whole.transitions)
        for name, dims in (("left", slice(0, HALF)), ("right", slice(HALF, DIM))):
            self._make_half(name, self.means[:, dims])
            self._copy_data(name, dims)
        self._make_half("deaf", self.means[::-1, :HALF])

    def _make_half(self, name: str, means: np.ndarray) -> None:
        tree, transitions = self.structure
        rows = np.ones(len(means), dtype=np.float32)
        gmms = DiagGmms(rows, means, np.ones_like(means), np.arange(len(means) + 1, dtype=np.int32))
        self._save(name, GmmHmm(tree, transitions, gmms))
        priors = np.random.default_rng(len(name)).dirichlet(np.ones(len(means))).astype(np.float32)
        weights = {"output.weight": means, "output.bias": np.log(priors) - 0.5 * (means**2).sum(axis=1)}
        shape = NetworkShape(MlpConfig(layers=0), HALF, 1, len(means))
        network = shape.build()
        load_arrays(network, weights, name)
        plain = InputNormalisation(np.zeros(HALF, np.float32), np.ones(HALF, np.float32))
        self._save(f"{name}_net", NnetHmm(tree, transitions, network.eval(), shape, plain, np.log(priors)))

    def _save(self, name: str, model: GmmHmm | NnetHmm) -> None:
        pipeline = PipelineConfig(cmvn="none", delta_order=0)
        save_model_folder(self.root / name, FrontEndConfig(), pipeline, self.root / "lang", model)

    def _copy_data(self, name: str, dims: slice) -> None:
        out = self.root / f"{name}_data"
        with ArchiveWriter(out, "feats") as writer:
            for key, value in ArchiveReader(self.data / "feats.scp").items():
                writer.write(key, np.ascontiguousarray(np.array(value)[:, dims]))
        for table in ("wav.scp", "segments", "utt2spk", "spk2utt"):
            write_lines(out / table, read_lines(self.data / table))
        save_front_end(out, FrontEndConfig())


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> TwoEars:
    return TwoEars(tmp_path_factory.mktemp("world"))


def run(world: TwoEars, out: Path, first: str, *arguments: object, data: str | None = None) -> Result:
    places = (world.graph, world.root / first, world.root / (data or f"{first.split('_')[0]}_data"), out)
    return CliRunner().invoke(main, ["decode", *map(str, places), "--json", *map(str, arguments)])


def other(world: TwoEars, name: str, data: str | None = None) -> list[object]:
    return ["--with", world.root / name, world.root / (data or f"{name.split('_')[0]}_data")]


def done(result: Result) -> dict[str, object]:
    assert result.exit_code == 0, result.output
    figures: dict[str, object] = json.loads(result.stdout)["figures"]
    return figures


def same_files(one: Path, two: Path) -> bool:
    names = ("hyp.txt", "hyp.ctm", "hyp.jsonl", "lat.ark")
    return all((one / name).read_bytes() == (two / name).read_bytes() for name in names)


def sentences(folder: Path, lm_weight: float) -> dict[str, dict[tuple[int, ...], float]]:
    scales = LatticeScales(1 / lm_weight, 1.0, 0.0)
    lattices = LatticeReader(folder / "lat.scp")
    return {key: {path.words: path.cost for path in n_best(one, 5, scales)} for key, one in lattices.items()}


def test_two_halves_are_the_whole(world: TwoEars, tmp_path: Path) -> None:
    """The mean of two log-likelihoods is half of that of independent halves together: at half the LM weight the same
    lattice, where each half alone makes another."""
    settings = ("--set", "lattice_beam=30", "--set", "beam=60")
    whole = [world.graph, world.model, world.data, tmp_path / "whole", "--set", "lm_weights=200", *settings]
    assert CliRunner().invoke(main, ["decode", *map(str, whole)]).exit_code == 0
    figures = done(run(world, tmp_path / "both", "left", *other(world, "right"), "--set", "lm_weights=100", *settings))
    assert figures["systems"] == 2
    done(run(world, tmp_path / "half", "left", "--set", "lm_weights=100", *settings))
    assert read_text(tmp_path / "both/hyp.txt") == read_text(tmp_path / "whole/hyp.txt")
    expected, found, half = (
        sentences(tmp_path / name, weight) for name, weight in (("whole", 200), ("both", 100), ("half", 100))
    )
    compared = different = 0
    for key in SAID:
        gaps, own, alone = (
            {words: cost - min(table.values()) for words, cost in table.items()}
            for table in (expected[key], found[key], half[key])
        )
        for words in gaps.keys() & own.keys():
            assert own[words] == pytest.approx(gaps[words], abs=0.02)
            compared += 1
            different += words in alone and abs(alone[words] - gaps[words]) > 0.05
    assert compared > 6
    assert different > 2


@pytest.mark.parametrize("name", ["left", "left_net"])
def test_a_model_with_itself_changes_nothing(world: TwoEars, tmp_path: Path, name: str) -> None:
    done(run(world, tmp_path / "alone", name))
    done(run(world, tmp_path / "twice", name, *other(world, name)))
    assert same_files(tmp_path / "alone", tmp_path / "twice")
    if name == "left_net":
        done(run(world, tmp_path / "sum", name, *other(world, name), "--set", "combination.domain=linear"))
        one, two = sentences(tmp_path / "alone", 10), sentences(tmp_path / "sum", 10)
        for key in SAID:
            assert list(one[key]) == list(two[key])
            np.testing.assert_allclose(list(one[key].values()), list(two[key].values()), rtol=1e-4)


def test_weights_of_one_and_nothing_leave_one_system(world: TwoEars, tmp_path: Path) -> None:
    deaf = other(world, "deaf", "left_data")
    done(run(world, tmp_path / "alone", "left"))
    done(run(world, tmp_path / "deaf", "deaf", data="left_data"))
    done(run(world, tmp_path / "first", "left", *deaf, "--set", "combination.weights=[1, 0]"))
    done(run(world, tmp_path / "second", "left", *deaf, "--set", "combination.weights=[0, 3]"))
    assert same_files(tmp_path / "first", tmp_path / "alone")
    assert same_files(tmp_path / "second", tmp_path / "deaf")
    assert not same_files(tmp_path / "alone", tmp_path / "deaf")


def test_mixtures_and_networks_are_averaged(world: TwoEars, tmp_path: Path) -> None:
    """A network with the mixtures' own posteriors differs by a constant a frame, which no path is the better for."""
    done(run(world, tmp_path / "mixtures", "left", *other(world, "right")))
    done(run(world, tmp_path / "mixed", "left", *other(world, "right_net")))
    assert read_text(tmp_path / "mixed/hyp.txt") == read_text(tmp_path / "mixtures/hyp.txt")
    one, two = sentences(tmp_path / "mixtures", 10), sentences(tmp_path / "mixed", 10)
    for key in SAID:
        (first, *_), (second, *_) = sorted(one[key].values()), sorted(two[key].values())
        for words in one[key].keys() & two[key].keys():
            assert two[key][words] - second == pytest.approx(one[key][words] - first, abs=0.02)


def test_posteriors_of_networks_are_summed(world: TwoEars, tmp_path: Path) -> None:
    linear = ("--set", "combination.domain=linear")
    done(run(world, tmp_path / "sum", "left_net", *other(world, "right_net"), *linear))
    done(run(world, tmp_path / "product", "left_net", *other(world, "right_net")))
    assert not same_files(tmp_path / "sum", tmp_path / "product")
    assert read_text(tmp_path / "sum/hyp.txt").keys() == SAID.keys()
    refused = run(world, tmp_path / "out", "left_net", *other(world, "right"), *linear)
    assert refused.exit_code == 1
    assert "system 2 is of mixtures, which have no posteriors" in refused.stderr


def test_what_cannot_be_averaged_is_refused(world: TwoEars, tmp_path: Path) -> None:
    many = run(world, tmp_path / "out", "left", *other(world, "right"), "--set", "combination.weights=[1, 2, 3]")
    assert many.exit_code == 1
    assert "3 weights for 2 systems" in many.stderr
    lang: Lang = make_lang(LEXICON, LangConfig(num_states=3, num_silence_states=3))
    lang.save(tmp_path / "lang")
    tree = monophone_tree(lang.topology, lang.shared_phones)
    ones = np.ones((tree.num_pdfs, HALF), dtype=np.float32)
    gmms = DiagGmms(ones[:, 0], ones, ones, np.arange(tree.num_pdfs + 1, dtype=np.int32))
    model = GmmHmm(tree, TransitionModel.from_tree(tree, lang.topology), gmms)
    pipeline = PipelineConfig(cmvn="none", delta_order=0)
    save_model_folder(tmp_path / "tree", FrontEndConfig(), pipeline, tmp_path / "lang", model)
    refused = run(world, tmp_path / "out", "left", "--with", tmp_path / "tree", world.root / "left_data")
    assert refused.exit_code == 1
    assert "its tree or topology is not that of the first model" in refused.stderr
    assert not (tmp_path / "out").exists()
    slow = replace(FrontEndConfig(), frame_shift_ms=20.0)
    save_model_folder(
        tmp_path / "slow", slow, pipeline, world.root / "lang", load_acoustic_model(world.root / "left").model
    )
    world._copy_data("slow", slice(0, HALF))
    save_front_end(world.root / "slow_data", slow)
    refused = run(world, tmp_path / "out", "left", "--with", tmp_path / "slow", world.root / "slow_data")
    assert "its frame shift is 20 ms, that of the first 10" in refused.stderr


def test_utterances_that_one_system_does_not_hear_are_named(world: TwoEars, tmp_path: Path) -> None:
    world._copy_data("few", slice(HALF, DIM))
    with ArchiveWriter(world.root / "few_data", "feats") as writer:
        for key, value in ArchiveReader(world.root / "right_data/feats.scp").items():
            if key != "ann-1":
                writer.write(key, np.array(value)[: -2 if key == "bob-1" else None])
    result = run(world, tmp_path / "out", "left", *other(world, "right", "few_data"), "--max-failed", 0.9)
    assert result.exit_code == 0, result.output
    failures = json.loads(result.stdout)["failures"]
    assert failures["ann-1"].startswith(f"no features in {world.root / 'few_data'} (")
    assert failures["bob-1"].startswith("the systems have")
    assert read_text(tmp_path / "out/hyp.txt").keys() == {"ann-2"}


def test_a_second_run_does_nothing_until_a_system_changes(world: TwoEars, tmp_path: Path) -> None:
    done(run(world, tmp_path / "out", "left", *other(world, "right")))
    again = run(world, tmp_path / "out", "left", *other(world, "right"))
    assert json.loads(again.stdout)["skipped"]
    alone = run(world, tmp_path / "out", "left")
    assert not json.loads(alone.stdout)["skipped"]

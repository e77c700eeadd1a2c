"""A checkpoint gives back the very state that was saved, and nothing when it is damaged or of another training."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from asrkit.gmm.diag import flat_start
from asrkit.gmm.em import EmState, IterationReport
from asrkit.gmm.model import GmmHmm
from asrkit.hmm.transitions import TransitionModel
from asrkit.hmm.tree import monophone_tree
from asrkit.lang.topology import make_topology
from asrkit.stages.checkpoint import Checkpoint, training_key


def make_state(iteration: int = 3, shift: float = 0.0, tied: bool = False) -> EmState:
    """A state with all its parts filled; ``shift`` moves the means, ``tied`` makes two phones share their pdfs."""
    topology = make_topology((1, 2), (3,), num_states=2, num_silence_states=3)
    tree = monophone_tree(topology, ((1, 2),) if tied else ())
    transitions = TransitionModel.from_tree(tree, topology)
    gmms = flat_start(np.array([shift, 2.0]), np.array([1.0, 0.25]), tree.num_pdfs)
    reports = tuple(IterationReport(i + 1, -50.5 + i, 30, 7, i > 0, 0, 1, 2) for i in range(iteration))
    alignments = {"u2": np.array([1, 2, 2, 5], np.int32), "u1": np.array([3], np.int32)}
    return EmState(iteration, GmmHmm(tree, transitions, gmms), alignments, {"u3": "too short"}, reports)


def same(one: EmState, other: EmState) -> bool:
    return (
        (one.iteration, one.failures, one.reports) == (other.iteration, other.failures, other.reports)
        and one.model.tree.to_json() == other.model.tree.to_json()
        and one.model.transitions.triples == other.model.transitions.triples
        and np.array_equal(one.model.transitions.log_probs, other.model.transitions.log_probs)
        and np.array_equal(one.model.gmms.means, other.model.gmms.means)
        and one.alignments.keys() == other.alignments.keys()
        and all(np.array_equal(one.alignments[key], other.alignments[key]) for key in one.alignments)
    )


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    Checkpoint(tmp_path, "key").save(make_state())
    loaded = Checkpoint(tmp_path, "key").load()
    assert loaded is not None
    assert same(loaded, make_state())
    assert not same(loaded, make_state(shift=1.0))
    assert all(alignment.dtype == np.int32 for alignment in loaded.alignments.values())


def test_a_state_without_alignments_is_loaded(tmp_path: Path) -> None:
    state = replace(make_state(), alignments={})
    Checkpoint(tmp_path, "key").save(state)
    loaded = Checkpoint(tmp_path, "key").load()
    assert loaded is not None
    assert same(loaded, state)


def test_only_the_newest_state_stays(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path, "key")
    for iteration in (1, 2, 10):
        checkpoint.save(make_state(iteration))
    assert sorted(path.name for path in (tmp_path / "checkpoint").iterdir()) == [
        "10",
        "state.json",
        "topology.json",
        "tree.json",
    ]
    loaded = checkpoint.load()
    assert loaded is not None
    assert loaded.iteration == 10


def test_a_save_that_is_cut_off_leaves_the_state_before_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = Checkpoint(tmp_path, "key")
    checkpoint.save(make_state(3))

    def cut_off(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("asrkit.stages.checkpoint.write_json", cut_off)
    with pytest.raises(KeyboardInterrupt):
        checkpoint.save(make_state(4, shift=1.0))
    loaded = checkpoint.load()
    assert loaded is not None
    assert same(loaded, make_state(3))


@pytest.mark.parametrize("first_saved", [1, 2])
def test_nothing_of_another_training_stays_in_what_is_saved(tmp_path: Path, first_saved: int) -> None:
    """The rungs above the monophones save their second iteration first."""
    Checkpoint(tmp_path, "another").save(make_state(7, tied=True))
    checkpoint = Checkpoint(tmp_path, "key")
    assert checkpoint.load() is None
    checkpoint.save(make_state(first_saved))
    loaded = Checkpoint(tmp_path, "key").load()
    assert loaded is not None
    assert same(loaded, make_state(first_saved))
    assert not same(loaded, make_state(first_saved, tied=True))


def test_another_training_or_none_at_all_gives_no_state(tmp_path: Path) -> None:
    assert Checkpoint(tmp_path, "key").load() is None
    Checkpoint(tmp_path, "key").save(make_state())
    assert Checkpoint(tmp_path, "another").load() is None
    Checkpoint(tmp_path, "key").clear()
    assert Checkpoint(tmp_path, "key").load() is None
    assert list(tmp_path.iterdir()) == []


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


DAMAGES: dict[str, Callable[[Path], object]] = {
    "state cut off": lambda folder: cut(folder / "state.json"),
    "state is no object": lambda folder: (folder / "state.json").write_text("[]"),
    "state is not text": lambda folder: (folder / "state.json").write_bytes(b"\xff"),
    "model cut off": lambda folder: cut(folder / "3" / "model.safetensors"),
    "model gone": lambda folder: (folder / "3" / "model.safetensors").unlink(),
    "tree gone": lambda folder: (folder / "tree.json").unlink(),
    "topology cut off": lambda folder: cut(folder / "topology.json"),
    "alignments cut off": lambda folder: cut(folder / "3" / "ali.ark"),
    "index gone": lambda folder: (folder / "3" / "ali.scp").unlink(),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_gives_no_state(tmp_path: Path, damage: str) -> None:
    checkpoint = Checkpoint(tmp_path, "key")
    checkpoint.save(make_state())
    DAMAGES[damage](tmp_path / "checkpoint")
    again = Checkpoint(tmp_path, "key")
    assert again.load() is None
    again.save(make_state(2))
    mended = Checkpoint(tmp_path, "key").load()
    assert mended is not None
    assert same(mended, make_state(2))


@dataclass(frozen=True)
class Config:
    beam: float = 6.0


def test_the_key_changes_with_all_that_decides_the_result(tmp_path: Path) -> None:
    file = tmp_path / "text"
    absent = tmp_path / "absent"
    file.write_text("one")
    keys = [training_key(Config(), 0, [file, absent])]
    assert training_key(Config(), 0, [file, absent]) == keys[0]
    keys += [training_key(Config(7.0), 0, [file, absent]), training_key(Config(), 1, [file, absent])]
    absent.touch()
    keys.append(training_key(Config(), 0, [file, absent]))
    absent.unlink()
    os.utime(file, ns=(0, 0))
    keys.append(training_key(Config(), 0, [file, absent]))
    assert len(set(keys)) == len(keys) == 5

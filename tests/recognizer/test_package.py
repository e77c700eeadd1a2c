"""Model files: what is packed comes back, and whatever happens to one, it is a clear error."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import asrkit
from asrkit.cli.main import main
from asrkit.core.bundle import open_bundle, write_bundle
from asrkit.core.errors import AsrkitError, GraphError, ModelError
from asrkit.recognizer.model import load_model_folders
from asrkit.recognizer.package import load_package
from asrkit.stages.make_graph import MakeGraphConfig, make_graph
from asrkit.stages.record import RunOptions
from tests.graph.languages import write_arpa
from tests.recognizer.conftest import packed_into
from tests.recognizer.worlds import UNIGRAM, World


def rewritten(packed: Path, out: Path, **changes: bytes | None) -> Path:
    """Write the members of a model file again, with right checksums, some of them changed or left out."""
    bundle = open_bundle(packed, "recognizer")
    members: dict[str, Path | bytes] = {name: bytes(bundle.read(name)) for name in bundle.members}
    for name, content in changes.items():
        key = name.replace("__", "/").replace("_DOT_", ".")
        members.pop(key, None)
        if content is not None:
            members[key] = content
    write_bundle(out, "recognizer", members)
    return out


def test_what_was_packed_comes_back(packed: Path, world: World) -> None:
    model = load_package(packed)
    assert model.config.lm_weight == 5.0
    assert model.licence == "CC BY 4.0: name us\n"
    assert model.prior is not None
    assert model.prior.count > 1000
    assert model.lang is not None
    assert model.lang.words == world.lang.words
    assert model.language_model is not None
    assert model.language_model().order == 1
    assert model.g2p is None
    np.testing.assert_array_equal(model.graph.graph.arcs, load_package(packed).graph.graph.arcs)


def test_a_graph_to_be_composed_on_the_fly_is_packed_with_its_rest(world: World, tmp_path: Path) -> None:
    arpa = write_arpa(tmp_path / "bigram.arpa", {**UNIGRAM, "yes no": (-0.2, 0.0), "no </s>": (-0.1, 0.0)}, 2)
    graph = tmp_path / "graph"
    make_graph(world.lang_path, arpa, world.model, graph, MakeGraphConfig(on_the_fly=True), RunOptions())
    places = [str(world.model), str(graph), str(tmp_path / "a.asrkit"), "--cmvn", str(world.data)]
    result = CliRunner().invoke(main, ["pack", *places])
    assert result.exit_code == 0, result.output
    packed, folders = load_package(tmp_path / "a.asrkit").graph, load_model_folders(world.model, graph).graph
    assert packed.lm is not None
    assert folders.lm is not None
    assert packed.lm.num_ngrams > 0
    for one, two in zip(packed.lm.arrays, folders.lm.arrays):
        np.testing.assert_array_equal(one, two)
    lost = rewritten(tmp_path / "a.asrkit", tmp_path / "lost.asrkit", graph__difference_DOT_fst=None)
    with pytest.raises(AsrkitError, match=r"lost.asrkit"):
        load_package(lost)


def test_packing_again_does_nothing_and_other_settings_do(world: World, tmp_path: Path) -> None:
    first = packed_into(tmp_path / "a.asrkit", world).read_bytes()
    places = [str(world.model), str(world.graph), str(tmp_path / "a.asrkit"), "--cmvn", str(world.data)]
    again = CliRunner().invoke(main, ["pack", *places, "--lm", str(world.arpa), "--json"])
    assert json.loads(again.stdout)["skipped"]
    assert packed_into(tmp_path / "b.asrkit", world).read_bytes() == first
    changed = CliRunner().invoke(main, ["pack", *places, "--set", "beam=9", "--json"])
    assert not json.loads(changed.stdout)["skipped"]
    assert load_package(tmp_path / "a.asrkit").language_model is None


def test_the_report_names_the_file_and_says_whose_choice_the_lm_weight_is(world: World, tmp_path: Path) -> None:
    def said(*options: str) -> list[str]:
        places = [str(world.model), str(world.graph), str(tmp_path / "a.asrkit"), "--cmvn", str(world.data)]
        result = CliRunner().invoke(main, ["pack", *places, *options])
        assert result.exit_code == 0, result.output
        return result.stdout.splitlines()

    unchosen, report = said()
    assert unchosen.startswith("LM weight 10 is the default, not chosen on a development set: give --from BEST")
    assert report.startswith(f"pack: {tmp_path / 'a.asrkit'}: done in ")
    assert said()[0] == unchosen
    assert len(said("--set", "lm_weight=5")) == 1
    (tmp_path / "best.json").write_text('{"lm_weight": 10.0, "insertion_penalty": 0.0}')
    assert len(said("--from", str(tmp_path / "best.json"))) == 1


def test_no_place_on_the_packers_disk_is_packed(packed: Path, world: World) -> None:
    assert str(world.root).encode() not in packed.read_bytes()


def test_info_says_what_it_holds(packed: Path) -> None:
    result = CliRunner().invoke(main, ["info", str(packed), "--json"])
    assert result.exit_code == 0, result.output
    (part,) = json.loads(result.stdout)["parts"]
    assert part["kind"] == "recognizer"
    assert part["facts"]["licence"].startswith("CC BY")
    assert part["facts"]["language_model"]
    assert part["facts"]["sample_rate_hz"] == 8000


def test_what_does_not_belong_together_is_not_packed(world: World, tmp_path: Path) -> None:
    def refused(*options: str) -> str:
        places = [str(world.model), str(world.graph), str(tmp_path / "x.asrkit")]
        result = CliRunner().invoke(main, ["pack", *places, *options])
        assert result.exit_code == 1
        assert not (tmp_path / "x.asrkit").exists()
        return result.stderr

    other = tmp_path / "other.arpa"
    other.write_text("nothing")
    assert "was not built from" in refused("--lm", str(other))
    assert "no such file" in refused("--g2p", str(tmp_path / "none"))
    assert "no cmvn.scp" in refused("--cmvn", str(tmp_path))
    assert "has other words" in refused("--lang", str(tmp_path))
    damaged = tmp_path / "g2p"
    damaged.write_bytes(b"nothing")
    assert f"{damaged}: not a readable" in refused("--g2p", str(damaged))


def test_a_failure_keeps_the_old_file_and_names_what_failed(world: World, tmp_path: Path) -> None:
    out = tmp_path / "a.asrkit"
    before = packed_into(out, world).read_bytes()
    for places in ((tmp_path / "none", world.graph), (world.model, tmp_path / "none")):
        result = CliRunner().invoke(main, ["pack", *map(str, places), str(out), "--cmvn", str(world.data)])
        assert result.exit_code == 1
        assert f"asrkit: {tmp_path / 'none'}: not a" in result.stderr
        assert out.read_bytes() == before
        assert sorted(path.name for path in tmp_path.iterdir()) == ["a.asrkit", "stage.json"]


def test_files_of_one_folder_are_up_to_date_each_by_itself(world: World, tmp_path: Path) -> None:
    def pack(name: str, *options: str) -> bool:
        places = [str(world.model), str(world.graph), str(tmp_path / name), "--cmvn", str(world.data)]
        result = CliRunner().invoke(main, ["pack", *places, *options, "--json"])
        assert result.exit_code == 0, result.output
        return bool(json.loads(result.stdout)["skipped"])

    narrow = ("--set", "beam=9")
    assert not pack("a.asrkit")
    assert not pack("b.asrkit", *narrow)
    assert pack("a.asrkit")
    assert pack("b.asrkit", *narrow)
    (tmp_path / "a.asrkit").rename(tmp_path / "c.asrkit")
    (tmp_path / "b.asrkit").rename(tmp_path / "a.asrkit")
    assert not pack("a.asrkit")
    assert load_package(tmp_path / "a.asrkit").config.beam == 13.0
    assert not pack("b.asrkit", *narrow)
    assert load_package(tmp_path / "b.asrkit").config.beam == 9.0


def load_or_error(path: Path) -> AsrkitError | None:
    """Return what opening a model file, and reading what is read later, says."""
    try:
        model = asrkit.load(path).model
        for read_later in (model.language_model, model.g2p):
            if read_later is not None:
                read_later()
    except AsrkitError as caught:
        error = caught
    else:
        return None
    assert "asrkit-model-" not in str(error)
    return error


def test_a_file_cut_off_anywhere_is_refused(packed: Path, tmp_path: Path) -> None:
    whole = packed.read_bytes()
    path = tmp_path / "cut.asrkit"
    for size in [0, 1, 7, 8, 9, 100, 1000, *range(2000, len(whole), 9973), len(whole) - 1]:
        path.write_bytes(whole[:size])
        assert load_or_error(path) is not None, size
    path.write_bytes(whole + b"x")
    assert load_or_error(path) is not None


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_flipped_byte_is_refused(packed: Path, tmp_path: Path, data: st.DataObject) -> None:
    whole = bytearray(packed.read_bytes())
    (header,) = struct.unpack_from("<Q", whole)
    near = st.integers(0, 8 + header - 1) | st.integers(0, len(whole) - 1)
    place = data.draw(near)
    whole[place] ^= data.draw(st.integers(1, 255))
    path = tmp_path / "flipped.asrkit"
    path.write_bytes(bytes(whole))
    error = load_or_error(path)
    # Blanks that fill up the header say nothing; all else is checked.
    assert error is not None or 8 <= place < 8 + header


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_damage_with_a_right_checksum_is_an_error_of_ours_or_harmless(
    packed: Path, tmp_path: Path, data: st.DataObject
) -> None:
    """A malicious file has right checksums: what its members say is checked by those who read them."""
    bundle = open_bundle(packed, "recognizer")
    name = data.draw(st.sampled_from(sorted(bundle.members)))
    content = bytearray(bundle.read(name))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content))) :]
    members: dict[str, Path | bytes] = {n: bytes(bundle.read(n)) for n in bundle.members}
    members[name] = bytes(content)
    write_bundle(tmp_path / "bad.asrkit", "recognizer", members)
    load_or_error(tmp_path / "bad.asrkit")


def test_what_would_fill_the_memory_is_refused(packed: Path, tmp_path: Path) -> None:
    out = tmp_path / "x.asrkit"
    bundle = open_bundle(packed, "recognizer")
    front_end = json.loads(bytes(bundle.read("model/frontend.json")))
    huge = {**front_end, "sample_rate_hz": 10_000_000, "frame_length_ms": 10_000.0}
    rewritten(packed, out, model__frontend_DOT_json=json.dumps(huge).encode())
    assert "beyond all use" in str(load_or_error(out))
    pipeline = json.loads(bytes(bundle.read("model/pipeline.json")))
    for changes in ({"delta_order": 10**9}, {"delta_order": 2, "delta_window": 10**9}):
        rewritten(packed, out, model__pipeline_DOT_json=json.dumps({**pipeline, **changes}).encode())
        assert "beyond all use" in str(load_or_error(out))
    rewritten(packed, out, model__tree_DOT_json=b"[" * 200_000)
    assert isinstance(load_or_error(out), AsrkitError)


def test_members_are_named_as_we_name_them(packed: Path, tmp_path: Path) -> None:
    out = tmp_path / "x.asrkit"
    rewritten(packed, out, model__more_DOT_py=b"print('hello')")
    assert "model/more.py is unknown" in str(load_or_error(out))
    rewritten(packed, out, model__tree_DOT_json=None)
    assert "model/tree.json is missing" in str(load_or_error(out))
    for name in ("../outside", "/etc/passwd", "a/../../b", "a//b", ".hidden", ""):
        with pytest.raises(ValueError, match="no name of a member"):
            write_bundle(out, "recognizer", {name: b""})


def header_of(members: dict[str, object], kind: str = "recognizer", version: object = 1) -> bytes:
    checks = dict.fromkeys(members, 0)
    meta = {"asrkit": json.dumps({"kind": kind, "meta": {"version": version, "crc32": checks}})}
    text = json.dumps({"__metadata__": meta, **members}).encode()
    return struct.pack("<Q", len(text)) + text


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"RIFF" + bytes(100),
        struct.pack("<Q", 1 << 60) + bytes(100),
        struct.pack("<Q", 2) + b"{}",
        struct.pack("<Q", 100_000) + b"[" * 100_000,
        header_of({}, kind="gmm-hmm"),
        header_of({}, version=2),
        header_of({"../x": {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]}}),
        header_of({"a": {"dtype": "U8", "shape": [1 << 62], "data_offsets": [0, 1 << 62]}}),
        header_of({"a": {"dtype": "U8", "shape": [-1], "data_offsets": [0, -1]}}),
        header_of({"a": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}}),
        header_of({"a": {"dtype": "U8", "shape": [0], "data_offsets": [5, 5]}}),
        header_of({"a": 3}),
    ],
)
def test_forged_headers_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "forged.asrkit"
    path.write_bytes(content)
    with pytest.raises(ModelError):
        asrkit.load(path)


def test_a_newer_version_says_so(tmp_path: Path) -> None:
    path = tmp_path / "new.asrkit"
    path.write_bytes(header_of({}, version=2))
    with pytest.raises(ModelError, match="version 2 of the format"):
        asrkit.load(path)


def test_any_safetensors_reader_lists_it(packed: Path) -> None:
    from safetensors import safe_open

    with safe_open(packed, framework="numpy") as handle:
        names = set(handle.keys())
    assert names == set(open_bundle(packed, "recognizer").members)


def test_a_graph_of_another_model_is_refused(packed: Path, tmp_path: Path) -> None:
    bundle = open_bundle(packed, "recognizer")
    described = json.loads(bytes(bundle.read("graph/graph.json")))
    changed = json.dumps({**described, "model_checksum": "0"}).encode()
    rewritten(packed, tmp_path / "x.asrkit", graph__graph_DOT_json=changed)
    with pytest.raises(GraphError, match="made for another model"):
        asrkit.load(tmp_path / "x.asrkit")

"""`asrkit vtln` on synthetic speakers: vowels whose formants lie higher or lower by known factors."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from scipy.signal import lfilter

from asrkit.cli.main import main
from asrkit.core.files import read_json, read_lines, write_json, write_lines
from asrkit.data.audio import read_audio, resample
from asrkit.data.datadir import DataDir, Utterance, save_text
from asrkit.features.cmvn import CmvnStats
from asrkit.features.config import FrontEndConfig
from asrkit.features.frontend import FrontEnd, save_front_end
from asrkit.features.pipeline import FeaturePipeline, PipelineConfig
from asrkit.gmm.diag import DiagGmms
from asrkit.gmm.model import GmmHmm
from asrkit.hmm.transitions import TransitionModel
from asrkit.hmm.tree import monophone_tree
from asrkit.lang.langdir import Lang, LangConfig, make_lang
from asrkit.lang.lexicon import Pronunciation
from asrkit.lang.silence import SILENCE_FILE, SilenceHabit, SilenceModel, said
from asrkit.stages.acoustic import load_acoustic_model, save_model_folder
from asrkit.stages.warp_search import VtlnConfig, WarpSearch, speech_by_speaker
from tests.factories import write_wav

RATE = 16000
FRAMES_A_PHONE = 14
FORMANTS_HZ = {
    "a": (730, 1090, 2440, 3500),
    "i": (270, 2290, 3010, 3600),
    "u": (300, 870, 2240, 3300),
    "e": (530, 1840, 2480, 3550),
    "o": (570, 840, 2410, 3400),
    "SIL": (),
}
WORDS = {"ai": ("a", "i"), "ue": ("u", "e"), "oa": ("o", "a"), "iu": ("i", "u"), "eo": ("e", "o")}
# Speaker -> factor of its formants; the warp that undoes it is the inverse. Not one lies on the grid.
PLANTED = {"ann": 1.0, "bob": 1 / 0.911, "cid": 1 / 1.087}
UTTERANCES = 6
STEP = 0.02
FRONT_END = FrontEndConfig(num_ceps=10, use_energy=False)
PIPELINE = PipelineConfig(delta_order=1)


def sound(phones: list[str], factor: float, rng: np.random.Generator) -> np.ndarray:
    """Noise through one resonance a formant, all moved by ``factor``."""
    pieces = []
    for phone in phones:
        piece = rng.standard_normal(FRAMES_A_PHONE * RATE // 100)
        for formant in FORMANTS_HZ[phone]:
            radius = np.exp(-np.pi * 0.08 * formant * factor / RATE)
            poles = [1, -2 * radius * np.cos(2 * np.pi * formant * factor / RATE), radius**2]
            piece = lfilter([sum(poles)], poles, piece)
        pieces.append(piece * (3000 / piece.std() if FORMANTS_HZ[phone] else 40))
    return np.clip(np.concatenate(pieces), -32000, 32000).astype(np.int16)


def phones_of(words: tuple[str, ...]) -> list[str]:
    return ["SIL", *(phone for word in words for phone in WORDS[word]), "SIL"]


def make_data(path: Path, planted: Mapping[str, float], seed: int) -> DataDir:
    rng = np.random.default_rng(seed)
    utterances, recordings = {}, {}
    for speaker, factor in planted.items():
        for number in range(UTTERANCES):
            key = f"{speaker}-{number}"
            words = tuple(rng.permutation(sorted(WORDS))[: 4 + number % 2].tolist())
            samples = sound(phones_of(words), factor, rng)
            recordings[key] = str(write_wav(path / "wav" / f"{key}.wav", samples, RATE))
            utterances[key] = Utterance(key, key, speaker, words)
    DataDir(path, utterances, recordings).save()
    save_front_end(path, FRONT_END)
    return DataDir.load(path)


def make_model(folder: Path, data: DataDir, lang: Lang) -> None:
    """One Gaussian a phone, from the frames that are known to be its own."""
    front_end, pipeline = FrontEnd(FRONT_END), FeaturePipeline(PIPELINE)
    frames: dict[str, list[np.ndarray]] = {phone: [] for phone in FORMANTS_HZ}
    for keys in data.by_speaker().values():
        raw = {key: front_end.compute(read_audio(data.audio_path(data.utterances[key]))[0]) for key in keys}
        stats = sum(map(CmvnStats.of, raw.values()), CmvnStats.zero(front_end.dim))
        for key, features in raw.items():
            inputs = pipeline.apply(features, stats)
            for number, phone in enumerate(phones_of(data.utterances[key].words or ())):
                frames[phone].append(inputs[number * FRAMES_A_PHONE : (number + 1) * FRAMES_A_PHONE])
    tree = monophone_tree(lang.topology, lang.shared_phones)
    transitions = TransitionModel.from_tree(tree, lang.topology)
    names = {number: name for name, number in lang.phones.ids.items()}
    owner = {pdf: names[phone] for phone, _, pdf in transitions.triples}
    seen = [np.concatenate(frames.get(owner[pdf]) or frames["SIL"]) for pdf in range(tree.num_pdfs)]
    means = np.stack([one.mean(0) for one in seen]).astype(np.float32)
    variances = np.stack([one.var(0) for one in seen]).astype(np.float32)
    offsets = np.arange(tree.num_pdfs + 1, dtype=np.int32)
    gmms = DiagGmms(np.ones(tree.num_pdfs, np.float32), means, variances, offsets)
    save_model_folder(folder, FRONT_END, PIPELINE, folder.parent / "lang", GmmHmm(tree, transitions, gmms))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of speakers with formants in their places, and data of three others."""
    root = tmp_path_factory.mktemp("vtln")
    lang = make_lang([Pronunciation(word, phones) for word, phones in WORDS.items()], LangConfig(num_states=2))
    lang.save(root / "lang")
    make_model(root / "model", make_data(root / "train", {"t1": 1.0, "t2": 1.0, "t3": 1.0}, 1), lang)
    make_data(root / "data", PLANTED, 2)
    return root


@pytest.fixture
def world(built: Path, tmp_path: Path) -> Path:
    """The same with directories of its own (the audio stays where it is)."""
    for name in ("model", "data"):
        shutil.copytree(built / name, tmp_path / name, ignore=shutil.ignore_patterns("wav"))
    return tmp_path


def run(world: Path, *arguments: object, model: str = "model") -> Result:
    result = CliRunner().invoke(main, ["vtln", str(world / "data"), str(world / model), *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


def warps(world: Path) -> dict[str, float]:
    return {key: float(warp) for key, warp in (line.split() for line in read_lines(world / "data" / "spk2warp"))}


@pytest.mark.parametrize("option", ["single_gaussians=true", "silence_weight=1", "num_passes=1"])
def test_planted_factors_are_found_within_a_step(world: Path, option: str) -> None:
    write_lines(world / "data" / "spk2gender", ["ann f", "bob f", "cid m"])
    result = run(world, "--set", option)
    assert result.exit_code == 0, result.output
    found = warps(world)
    for speaker, factor in PLANTED.items():
        assert abs(found[speaker] - 1 / factor) <= STEP, found
    assert f"mean of m: {found['cid']:.3f}" in result.stdout
    assert "asrkit extract" in result.stdout
    table = read_json(world / "data" / "vtln.json")
    assert len(table["warps"]) == 21
    for speaker, warp in found.items():
        row = table["speakers"][speaker]
        assert max(row["score"], key=row["score"].get) == f"{warp:g}"
        assert row["utterances"] == UTTERANCES
        for name in row["score"]:
            assert row["score"][name] == pytest.approx(row["loglike"][name] + row["log_volume"][name], abs=2e-4)


def test_a_resampled_speaker_is_found_within_a_step(world: Path, built: Path) -> None:
    """Played faster by 8 %, all frequencies rise by 8 %."""
    data = DataDir.load(built / "train")
    mine = {key: one for key, one in data.utterances.items() if one.speaker == "t2"}
    recordings = {}
    for key, utterance in mine.items():
        samples, _ = read_audio(data.audio_path(utterance))
        faster = np.clip(resample(samples, 1080, 1000), -32768, 32767).astype(np.int16)
        recordings[key] = str(write_wav(world / "fast" / f"{key}.wav", faster, RATE))
    shutil.rmtree(world / "data")
    DataDir(world / "data", mine, recordings).save()
    save_front_end(world / "data", FRONT_END)
    assert run(world).exit_code == 0
    assert abs(warps(world)["t2"] - 1 / 1.08) <= STEP


class Shrinking:
    """A front end whose warp only multiplies the features."""

    def __init__(self) -> None:
        self._real = FrontEnd(FRONT_END)
        self.config, self.dim = self._real.config, self._real.dim

    def compute(self, samples: np.ndarray, stream: None, warp: float) -> np.ndarray:
        return self._real.compute(samples) * np.float32(warp)


def test_a_warp_that_only_shrinks_is_not_favoured(built: Path) -> None:
    model = load_acoustic_model(built / "model")
    data, lang = DataDir.load(built / "data"), Lang.load(built / "model" / "lang", built / "model" / "topology.json")
    config = VtlnConfig(silence_weight=1.0)
    keys = data.by_speaker()["ann"]
    samples = {key: read_audio(data.audio_path(data.utterances[key]))[0] for key in keys}
    inputs = WarpSearch(model, lang, config).inputs(samples, 1.0)
    # One Gaussian for all sounds, of the spread of what is not shrunk.
    gmms = model.model.gmms
    spread = np.mean(np.concatenate(list(inputs.values())) ** 2, axis=0, dtype=np.float64)
    wide = replace(gmms, means=0 * gmms.means, variances=np.tile(np.float32(spread), (gmms.num_pdfs, 1)))
    search = WarpSearch(replace(model, model=replace(model.model, gmms=wide)), lang, config)
    search.front_end = Shrinking()  # type: ignore[assignment]
    found, grid = search(speech_by_speaker(data)[0]), np.array(config.warps)
    # x -> w x in all D dimensions: D log w, whatever the model.
    np.testing.assert_allclose(np.array(found.log_volumes) - found.log_volumes[10], gmms.dim * np.log(grid), atol=1e-4)
    assert found.warp == 1.0
    # Without the volume the densest features win.
    assert grid[np.argmax(found.loglikes)] == 0.8


def test_hypotheses_in_place_of_transcripts(world: Path) -> None:
    assert run(world).exit_code == 0
    expected = warps(world)
    texts = {key: one.words or () for key, one in DataDir.load(world / "data").utterances.items()}
    (world / "data" / "text").unlink()
    refused = run(world)
    assert refused.exit_code == 1
    assert "--text" in refused.stderr
    save_text(world / "hyp.txt", texts)
    assert run(world, "--text", world / "hyp.txt").exit_code == 0
    assert warps(world) == expected
    del texts["ann-1"]
    texts["bob-2"] = ()
    save_text(world / "hyp.txt", texts)
    too_many = run(world, "--text", world / "hyp.txt")
    assert too_many.exit_code == 3
    assert "2 of 18 utterances failed" in too_many.stderr
    result = run(world, "--text", world / "hyp.txt", "--max-failed", 0.2, "--json")
    report = json.loads(result.stdout)
    assert report["failures"] == {"ann-1": "no transcript", "bob-2": "empty transcript"}
    assert report["figures"]["utterances"] == 3 * UTTERANCES - 2


def test_any_number_of_jobs_gives_the_same_bytes_and_a_second_run_does_nothing(world: Path) -> None:
    contents = []
    for jobs in (1, 2, 3):
        assert run(world, "-j", jobs, "--force").exit_code == 0
        contents.append([(world / "data" / name).read_bytes() for name in ("spk2warp", "vtln.json")])
    assert contents[0] == contents[1] == contents[2]
    # Warped features in the directory change nothing: the audio is what is warped.
    assert CliRunner().invoke(main, ["extract", str(world / "data"), "--like", str(world / "model")]).exit_code == 0
    assert "up to date" in run(world).stdout
    assert run(world, "--set", "step=0.05").exit_code == 0
    assert set(warps(world).values()) <= {0.8, 0.85, 0.9, 0.95, 1.0, 1.05, 1.1, 1.15, 1.2}


def test_other_silence_probabilities_of_the_model_mean_to_search_again(world: Path) -> None:
    assert run(world).exit_code == 0
    assert "up to date" in run(world).stdout
    folder = world / "model"
    lang = Lang.load(folder / "lang", folder / "topology.json")
    habits = {said(pronunciation): SilenceHabit(0.3) for pronunciation in lang.pronunciations}
    SilenceModel(0.3, 0.9, (1.0, 1.0), habits).save(folder / "lang" / SILENCE_FILE)
    again = run(world)
    assert again.exit_code == 0
    assert "up to date" not in again.stdout


def test_little_speech_keeps_the_factor_1(world: Path) -> None:
    result = run(world, "--set", "min_frames=100000")
    assert result.exit_code == 0
    assert set(warps(world).values()) == {1.0}
    assert "speaker bob keeps the warp factor 1" in result.stderr
    assert "frames of speech are too few, 100000 are needed" in result.stderr
    assert "reason" in read_json(world / "data" / "vtln.json")["speakers"]["bob"]
    some = json.loads(run(world, "--set", "max_secs=2.5", "--json").stdout)["figures"]
    assert some["utterances"] == 3 * 2


def test_speech_without_a_covariance_keeps_the_factor_1(world: Path, built: Path) -> None:
    """Of a constant all frames are alike."""
    for key in ("ann-0", "ann-1"):
        write_wav(world / "flat" / f"{key}.wav", np.full(40000, 900, np.int16), RATE)
    data = DataDir.load(world / "data")
    kept = data.subset(["ann-0", "ann-1"], world / "flat-data")
    replace(kept, recordings={key: str(world / "flat" / f"{key}.wav") for key in kept.recordings}).save()
    save_front_end(world / "flat-data", FRONT_END)
    model = load_acoustic_model(world / "model")
    lang = Lang.load(world / "model" / "lang", world / "model" / "topology.json")
    search = WarpSearch(model, lang, VtlnConfig(silence_weight=1.0))
    found = search(speech_by_speaker(DataDir.load(world / "flat-data"))[0])
    assert found.warp == 1.0
    assert "no covariance" in (found.reason or "")


def test_a_grid_holds_1_and_its_ends() -> None:
    assert VtlnConfig().warps == tuple(round(0.8 + 0.02 * i, 6) for i in range(21))
    assert VtlnConfig(min_warp=0.85, max_warp=1.15, step=0.1).warps == (0.85, 0.95, 1.0, 1.05, 1.15)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "step=0.0001"], "a step of 0.001 or more"),
        (["--set", "min_warp=1.3"], "a grid from 1.3 to 1.2"),
        (["--set", "num_passes=0"], "num_passes is 0"),
        (["--set", "silence_weight=2"], "silence_weight is 2"),
        (["--set", "max_secs=-1"], "expected 0 or more"),
        (["--text", "absent"], "no transcripts"),
    ],
)
def test_bad_options(world: Path, arguments: list[str], message: str) -> None:
    result = run(world, *arguments)
    assert result.exit_code == 1
    assert message in result.stderr
    assert not (world / "data" / "spk2warp").exists()


def test_inputs_that_do_not_belong_together(world: Path) -> None:
    assert "no such model directory" in run(world, model="absent").stderr
    write_lines(world / "hyp.txt", ["zoe-1 ai"])
    assert "1 utterances are not in" in run(world, "--text", world / "hyp.txt").stderr
    save_front_end(world / "data", replace(FRONT_END, num_mel_bins=30))
    assert "num_mel_bins is 30, the model has 23" in run(world).stderr
    (world / "data" / "frontend.json").unlink()
    assert "asrkit extract" in run(world).stderr
    save_front_end(world / "data", FRONT_END)
    write_json(world / "model" / "inputs.json", {"model_sha256": "0", "dim": 3, "fmllr": True})
    result = run(world)
    assert "inputs of another model, which cannot be warped" in result.stderr
    assert not (world / "data" / "spk2warp").exists()

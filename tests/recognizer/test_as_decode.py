"""A recogniser gives the words of `asrkit decode`, when each speaker's recordings are given together."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

import asrkit
from asrkit.cli.main import main
from asrkit.core.errors import AsrkitError
from asrkit.data.datadir import DataDir, Utterance, read_text
from tests.factories import write_wav
from tests.recognizer.worlds import FRONT_END, RATE, World, as_int16, say

SAID = {
    "ann-1": "_ yes no _",
    "ann-2": "_ toy not yes _",
    "ann-3": "not no _",
    "bob-1": "_ no no _ not _",
    "bob-2": "toy _",
}


def make_data(root: Path) -> DataDir:
    utterances, recordings = {}, {}
    for number, (key, said) in enumerate(SAID.items()):
        loud = 0.9 if key.startswith("ann") else 0.1
        recordings[key] = str(write_wav(root / "wav" / f"{key}.wav", as_int16(loud * say(said, seed=number)), RATE))
        utterances[key] = Utterance(key, key, key.split("-")[0], None)
    data = DataDir(root / "data", utterances, recordings)
    data.save()
    return data


def run(*arguments: object) -> None:
    result = CliRunner().invoke(main, [*map(str, arguments)])
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("adapted", [False, True])
def test_the_words_are_those_of_decode(world: World, adaptive: World, tmp_path: Path, adapted: bool) -> None:
    place = adaptive if adapted else world
    data = make_data(tmp_path)
    settings = [
        f"--set={key}={value}" for key, value in vars(FRONT_END).items() if key in ("sample_rate_hz", "low_freq")
    ]
    run("extract", data.path, *settings, "--set", "use_energy=false")
    few = "adaptation.fmllr.diag_min_count=50"
    # The scales at which neither finds all that was said, so that equal words say something.
    run("decode", place.graph, place.model, data.path, tmp_path / "out", "--set", "lm_weights=80", "--set", few)
    expected = read_text(tmp_path / "out" / "hyp.txt")
    config = {"lm_weight": 80.0, "adaptation": {"fmllr": {"diag_min_count": 50.0}}}
    recognizer = asrkit.load(place.model, place.graph, config=config)
    for speaker in ("ann", "bob"):
        keys = [key for key in SAID if key.startswith(speaker)]
        for key, result in zip(keys, recognizer.together([(data.recordings[key], None) for key in keys]), strict=True):
            assert not isinstance(result, AsrkitError)
            assert tuple(word.word for word in result.words) == expected[key]
            assert result.adaptation == ("fmllr" if adapted else "none")
    assert any(expected.values())

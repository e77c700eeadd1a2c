"""`asrkit transcribe` and `asrkit listen` on a planted world of sound, and on everything that is not sound."""

from __future__ import annotations

import importlib
import json
import signal
import struct
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from asrkit.cli.main import main
from asrkit.data.labels.ctm import read_ctm
from asrkit.data.labels.textgrid import read_textgrid
from asrkit.decode.search import BeamSearch
from asrkit.recognizer import microphone
from asrkit.recognizer.stream import RecognizerStream
from asrkit.stages.transcribe import Source, renamed
from tests.factories import write_wav
from tests.recognizer.conftest import packed_into
from tests.recognizer.worlds import RATE, World, as_int16, say


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("sounds"))


@pytest.fixture(scope="module")
def packed(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return packed_into(tmp_path_factory.mktemp("pack") / "toy.asrkit", world, "--set", "lm_weight=5")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three recordings, one of them stereo and in a folder of its own."""
    root = tmp_path_factory.mktemp("audio")
    write_wav(root / "a.wav", as_int16(say("_ yes no _")), RATE)
    write_wav(root / "b.flac", as_int16(say("_ toy _", seed=2)), RATE)
    left, right = as_int16(say("_ not _")), as_int16(say("_ no yes _", seed=1))
    write_wav(root / "deep" / "c.wav", np.stack([np.pad(left, (0, len(right) - len(left))), right], axis=1), RATE)
    (root / "notes.txt").write_text("no audio")
    return root


def run(*arguments: object, stdin: bytes | None = None, command: str = "transcribe") -> Result:
    return CliRunner().invoke(main, [command, *map(str, arguments)], input=stdin)


def out_of(result: Result) -> str:
    assert result.exit_code == 0, result.output
    return result.stdout


def test_one_recording_is_its_words(packed: Path, folder: Path) -> None:
    assert out_of(run(packed, folder / "a.wav")) == "yes no\n"


def test_a_folder_is_a_line_each_whatever_the_number_of_jobs(packed: Path, folder: Path) -> None:
    expected = "a\tyes no\nb\ttoy\ndeep/c.ch1\tnot\ndeep/c.ch2\tno yes\n"
    assert out_of(run(packed, folder)) == expected
    assert out_of(run(packed, folder, "-j", 3, "-q")) == expected
    assert out_of(run(packed, folder / "deep" / "c.wav", "--channel", 2)) == "c.ch2\tno yes\n"


@pytest.mark.parametrize("form", ["text", "json", "ctm", "srt", "vtt", "textgrid"])
def test_every_format_is_written_to_files(packed: Path, folder: Path, tmp_path: Path, form: str) -> None:
    assert out_of(run(packed, folder, "--format", form, "-o", tmp_path)) == ""
    suffix = {"text": "txt", "textgrid": "TextGrid"}.get(form, form)
    names = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())
    assert names == [f"{name}.{suffix}" for name in ("a", "b", "deep/c.ch1", "deep/c.ch2")]
    content = (tmp_path / f"deep/c.ch2.{suffix}").read_text("utf-8")
    if form == "json":
        assert json.loads(content)["channel"] == 2
        assert json.loads(content)["text"] == "no yes"
    elif form == "ctm":
        rows = list(read_ctm(tmp_path / "deep/c.ch2.ctm"))
        assert [(row.channel, row.label.text) for row in rows] == [("2", "no"), ("2", "yes")]
        assert all(row.confidence is not None for row in rows)
    elif form == "textgrid":
        tiers = read_textgrid(tmp_path / "deep/c.ch2.TextGrid").tiers
        assert [label.text for label in tiers[0].labels] == ["no", "yes"]
    else:
        assert "no yes" in content


def test_json_tells_times_and_alternatives(packed: Path, folder: Path) -> None:
    found = json.loads(out_of(run(packed, folder / "a.wav", folder / "b.flac", "--json", "--nbest", 3)))
    assert [one["text"] for one in found["recordings"]] == ["yes no", "toy"]
    assert found["failures"] == {}
    assert found["real_time_factor"] > 0
    for one in found["recordings"]:
        assert one["real_time_factor"] > 0
        assert 0 < one["first_words"] <= one["seconds"]
        assert 1 <= len(one["segments"][0]["nbest"]) <= 3
        assert one["segments"][0]["words"][0]["confidence"] > 0.3


@pytest.mark.parametrize("options", [["--json"], ["--json", "--live"], ["--format", "json"]])
def test_what_the_first_use_costs_is_not_charged_to_the_first_recording(
    packed: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, options: list[str]
) -> None:
    """By a clock that stands but for the first search, which takes a minute."""
    clock = [0.0]
    begun = BeamSearch.start

    def start(search: BeamSearch, *arguments: Any, **named: Any) -> None:
        clock[0] = 60.0
        begun(search, *arguments, **named)

    monkeypatch.setattr(BeamSearch, "start", start)
    for module in ("asrkit.cli.transcribe", "asrkit.stages.transcribe"):
        stopped = types.SimpleNamespace(perf_counter=lambda: clock[0])
        monkeypatch.setattr(importlib.import_module(module), "time", stopped)
    found = json.loads(out_of(run(packed, folder / "a.wav", *options)))
    (one,) = found.get("recordings", [found])
    assert one["text"] == "yes no"
    assert one["seconds"] == 0.0
    if "--json" in options:
        assert (found["load_seconds"], found["seconds"]) == (60.0, 0.0)


def test_files_can_be_heard_live(packed: Path, folder: Path) -> None:
    found = json.loads(out_of(run(packed, folder / "a.wav", "--live", "--json")))
    (one,) = found["recordings"]
    assert one["text"] == "yes no"
    assert one["first_words"] > 0.2  # of audio: the first word begins there


def test_long_recordings_are_cut_and_joined(packed: Path, tmp_path: Path) -> None:
    said = "_ _ yes no _ _ _ toy not _ _ _ no _ _ yes yes _ _ _ not _ _"
    path = write_wav(tmp_path / "long.wav", as_int16(say(said)), RATE)
    found = json.loads(out_of(run(packed, path, "--cut-over", 1, "--json")))
    (one,) = found["recordings"]
    assert one["text"] == "yes no toy not no yes yes not"
    assert len(one["segments"]) > 2
    whole = json.loads(out_of(run(packed, path, "--cut-over", 0, "--json")))["recordings"][0]
    assert len(whole["segments"]) == 1
    assert whole["text"] == one["text"]
    for cut, alone in zip([w for s in one["segments"] for w in s["words"]], whole["segments"][0]["words"], strict=True):
        assert cut["start"] == pytest.approx(alone["start"], abs=0.06)


def test_who_speaks_in_a_long_recording_can_be_said(packed: Path, tmp_path: Path) -> None:
    """A loud and a soft stretch: normalised together they have other costs than each by itself, and the same words."""
    said = [say("_ yes no _ _ _ _"), 0.2 * say("_ _ _ toy not _ _", seed=1)]
    path = write_wav(tmp_path / "long.wav", as_int16(np.concatenate(said)), RATE)

    def costs(*options: str) -> list[float]:
        (one,) = json.loads(out_of(run(packed, path, "--cut-over", 1, "--json", *options)))["recordings"]
        assert one["text"] == "yes no toy not"
        return [segment["nbest"][0]["cost"] for segment in one["segments"]]

    assert len(costs()) == 2
    assert costs() == costs("--speakers", "one") != costs("--speakers", "many")


def test_raw_audio_comes_through_standard_input(packed: Path) -> None:
    samples = as_int16(say("_ yes no _ _ _ _ _ _ _ toy _"))
    quick = ("--set", "endpoint.likely.silence_secs=0.4")
    assert out_of(run(packed, "-", *quick, stdin=samples.astype("<i2").tobytes())) == "yes no\ntoy\n"
    shown = out_of(run(packed, "-", "--partials", stdin=samples.astype("<i2").tobytes())).splitlines()
    assert "… yes" in shown
    events = [
        json.loads(line)
        for line in out_of(
            run(packed, "-", *quick, "--format", "json", "--partials", stdin=samples.astype("<i2").tobytes())
        ).splitlines()
    ]
    assert [event["text"] for event in events if "text" in event] == ["yes no", "toy"]
    assert any("partial" in event for event in events)
    rows = out_of(run(packed, "-", "--format", "ctm", stdin=samples.astype("<i2").tobytes())).splitlines()
    assert [row.split()[4] for row in rows] == ["yes", "no", "toy"]
    for form, count in (("srt", 2), ("vtt", 2), ("textgrid", 0)):
        text = out_of(run(packed, "-", *quick, "--format", form, stdin=samples.astype("<i2").tobytes()))
        assert text.count(" --> ") == count
        assert "toy" in text


def test_standard_input_that_is_no_audio(packed: Path) -> None:
    assert out_of(run(packed, "-", stdin=b"")) == ""
    odd = run(packed, "-", stdin=b"\0" * 1001)
    assert odd.exit_code == 1
    assert "half a sample" in odd.stderr
    assert run(packed, "-", "--rate", 4000, stdin=b"").exit_code == 1
    assert run(packed, "-", "--rate", 0, stdin=b"").exit_code == 1
    assert run(packed, "-", "a.wav").exit_code == 2
    assert run(packed, "-", "--channel", 1, stdin=b"").exit_code == 2


def test_what_was_heard_before_a_broken_sample_is_printed(packed: Path) -> None:
    broken = run(packed, "-", stdin=as_int16(say("_ yes no _")).astype("<i2").tobytes() + b"x")
    assert broken.stdout == "yes no\n"
    assert broken.exit_code == 1
    assert "half a sample" in broken.stderr


def test_standard_input_may_be_closed(packed: Path) -> None:
    program = f"import sys; sys.stdin = None; sys.argv[1:] = ['transcribe', {str(packed)!r}, '-']\n"
    program += "from asrkit.cli.main import program; program()"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300)
    assert ran.returncode == 1
    assert ran.stderr == "asrkit: standard input: closed, expected raw audio\n"


def wav_header(rate: int, channels: int = 1, size: int = 16000) -> bytes:
    byte_rate = 2 * rate * channels % (1 << 32)
    body = struct.pack("<HHIIHH", 1, channels, rate, byte_rate, 2 * channels, 16)
    head = b"RIFF" + struct.pack("<I", 36 + size) + b"WAVEfmt " + struct.pack("<I", 16)
    return head + body + b"data" + struct.pack("<I", size)


def damaged_files(folder: Path) -> dict[str, bytes]:
    whole = (folder / "a.wav").read_bytes()
    flac = (folder / "b.flac").read_bytes()
    floats = np.full(4000, np.nan, "<f4").tobytes()
    body = struct.pack("<HHIIHH", 3, 1, RATE, 4 * RATE, 4, 32)
    nan = b"RIFF" + struct.pack("<I", 36 + len(floats)) + b"WAVEfmt " + struct.pack("<I", 16) + body
    return {
        "empty.wav": b"",
        "cut.wav": whole[: len(whole) // 2],
        "header.wav": whole[:30],
        "text.wav": b"this is no audio at all\n" * 20,
        "text.mp3": b"neither is this\n" * 50,
        "none.wav": wav_header(RATE, size=0),
        "zero_rate.wav": wav_header(0) + bytes(16000),
        "no_channels.wav": wav_header(RATE, channels=0) + bytes(16000),
        "huge_rate.wav": wav_header(4_000_000_000) + bytes(16000),
        "nan.wav": nan + b"data" + struct.pack("<I", len(floats)) + floats,
        "short.wav": wav_header(RATE, size=20) + bytes(20),
        "cut.flac": flac[: len(flac) // 2],
        "noise.flac": b"fLaC" + bytes(range(256)) * 8,
        "noise.ogg": b"OggS" + bytes(range(256)) * 8,
        "sphere.sph": b"NIST_1A\n   1024\n" + bytes(1200),
    }


def test_what_is_no_audio_is_an_error_and_the_rest_is_transcribed(packed: Path, folder: Path, tmp_path: Path) -> None:
    bad = damaged_files(folder)
    for name, content in bad.items():
        (tmp_path / name).write_bytes(content)
        alone = run(packed, tmp_path / name)
        assert alone.exit_code == 1, (name, alone.output)
        assert alone.stdout == ""
        lines = alone.stderr.splitlines()
        assert name in lines[-1], (name, lines)
        assert "Traceback" not in alone.stderr
        assert "internal error" not in alone.stderr, (name, lines)
    write_wav(tmp_path / "good.wav", as_int16(say("_ no _")), RATE)
    everything = run(packed, tmp_path, "-j", 2, "-q")
    assert everything.exit_code == 1
    assert everything.stdout == "good\tno\n"
    assert f"{len(bad)} of {len(bad) + 1} recordings" in everything.stderr
    found = json.loads(run(packed, tmp_path, "--json", "-q").stdout)
    assert len(found["failures"]) == len(bad)
    assert [one["text"] for one in found["recordings"]] == ["no"]


def test_noise_in_the_place_of_bytes_neither_hangs_nor_crashes(packed: Path, folder: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name in ("a.wav", "b.flac"):
        whole = bytearray((folder / name).read_bytes())
        for number in range(12):
            content = bytearray(whole)
            for place in rng.integers(0, 200 if number % 2 else len(whole), 5).tolist():
                content[place] = int(rng.integers(256))
            path = tmp_path / f"{number}{name}"
            path.write_bytes(bytes(content))
            result = run(packed, path, "--upsample", "-q", "--cut-over", 5)
            assert result.exit_code in (0, 1)
            assert "Traceback" not in result.output
            assert "internal error" not in result.output, result.output


def test_models_that_are_none_are_errors(folder: Path, world: World, tmp_path: Path) -> None:
    for content in (b"", b"nothing", (folder / "a.wav").read_bytes(), (world.model / "model.safetensors").read_bytes()):
        (tmp_path / "m.asrkit").write_bytes(content)
        result = run(tmp_path / "m.asrkit", folder / "a.wav")
        assert result.exit_code == 1
        assert "m.asrkit" in result.stderr
        assert "internal error" not in result.stderr
    assert "no graph" in run(world.model, folder / "a.wav").stderr
    damaged = tmp_path / "graph"
    damaged.mkdir()
    for file in world.graph.iterdir():
        (damaged / file.name).write_bytes(file.read_bytes())
    whole = (world.graph / "HCLG.fst").read_bytes()
    for size in (0, 10, 70, len(whole) // 2, len(whole) - 1):
        (damaged / "HCLG.fst").write_bytes(whole[:size])
        result = run(world.model, folder / "a.wav", "--graph", damaged)
        assert result.exit_code == 1
        assert "HCLG.fst" in result.stderr
        assert "internal error" not in result.stderr


def test_a_pair_of_directories_serves_as_well(world: World, folder: Path) -> None:
    assert out_of(run(world.model, folder / "a.wav", "--graph", world.graph, "--set", "lm_weight=5")) == "yes no\n"


def test_wrong_use_is_said(packed: Path, folder: Path, tmp_path: Path) -> None:
    assert run(packed).exit_code == 2
    both = run(packed, folder / "a.wav", "--json", "--format", "text")
    assert both.exit_code == 2
    assert "--json prints one object in place of --format" in both.stderr
    with_files = run(packed, folder / "a.wav", "--json", "--format", "srt", "--out", tmp_path / "out")
    assert json.loads(out_of(with_files))["recordings"][0]["text"] == "yes no"
    assert (tmp_path / "out" / "a.srt").exists()
    assert "did you mean beam" in run(packed, folder / "a.wav", "--set", "baem=3").stderr
    assert "no such audio file" in run(packed, tmp_path / "none.wav").stderr
    (tmp_path / "empty").mkdir()
    assert "no audio in this folder" in run(packed, tmp_path / "empty").stderr
    assert "no channel 2: channels are 1 to 1" in run(packed, folder / "a.wav", "--channel", 2).stderr


def test_names_of_outputs(packed: Path, folder: Path, tmp_path: Path) -> None:
    """Recordings of one name are told apart by their paths, and nothing is written outside the folder."""
    for place in ("one/a.wav", "two/a.wav", ".three/a.wav"):
        (tmp_path / place).parent.mkdir()
        (tmp_path / place).write_bytes((folder / "a.wav").read_bytes())
    (tmp_path / "one" / "deeper").mkdir()
    inner = tmp_path / "one/deeper/../../two/a.wav"
    out = tmp_path / "out" / "in"
    assert out_of(run(packed, tmp_path / "one/a.wav", inner, tmp_path / ".three/a.wav", "-q", "-o", out)) == ""
    base = out / tmp_path.relative_to(tmp_path.anchor)
    assert sorted(path for path in (tmp_path / "out").rglob("*") if path.is_file()) == [
        base / f"{name}/a.wav.txt" for name in (".three", "one", "two")
    ]
    assert renamed([Source(Path("../../x/.y/a.wav"), "a"), Source(Path("a.wav"), "a")])[0].name == "x/.y/a.wav"
    twice = run(packed, folder / "a.wav", folder, "-q", "-o", tmp_path / "twice")
    assert twice.exit_code == 1
    assert "same name" in twice.stderr
    assert not (tmp_path / "twice").exists()


def test_a_place_that_cannot_be_written_to_is_said_before_any_work(packed: Path, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        refused = run(packed, folder / "a.wav", "-o", place)
        assert refused.exit_code == 1
        assert f"{tmp_path / 'file'}: not a directory" in refused.stderr


def test_numbers_that_are_none(packed: Path, folder: Path) -> None:
    for arguments in (("--cut-over", "nan"), ("--set", "posterior_scale=1e300")):
        refused = run(packed, folder / "a.wav", *arguments)
        assert refused.exit_code == 1
        assert "expected" in refused.stderr
    assert run(packed, folder / "a.wav", "--rate", 8000).exit_code == 2


def test_a_line_is_a_recording_whatever_its_name(packed: Path, folder: Path, tmp_path: Path) -> None:
    for name in ("two\nlines.wav", "tab\there.wav", "ünï 語.wav"):
        (tmp_path / name).write_bytes((folder / "a.wav").read_bytes())
    lines = out_of(run(packed, tmp_path, "-q")).splitlines()
    assert sorted(lines) == ["tab here\tyes no", "two lines\tyes no", "ünï 語\tyes no"]


def test_a_failure_beside_running_workers_ends_the_command_cleanly(packed: Path, tmp_path: Path) -> None:
    """Python's own end, with threads inside compiled code, is an abort."""
    write_wav(tmp_path / "0.wav", as_int16(say("_ yes _")), RATE)
    write_wav(tmp_path / "long.wav", np.tile(as_int16(say("_ yes no _")), 300), RATE)
    (tmp_path / "out/0.txt").mkdir(parents=True)
    arguments = ["transcribe", str(packed), "0.wav", "long.wav", "-j", "2", "--cut-over", "0", "-q", "-o", "out"]
    program = f"import sys; sys.argv[1:] = {arguments!r}; from asrkit.cli.main import program; program()"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300, cwd=tmp_path)
    assert ran.returncode == 1
    assert ran.stderr == "asrkit: out/0.txt: is a directory (a file is expected here)\n"
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["0.txt"]


def test_ctrl_c_ends_listening_with_what_was_heard(packed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever it comes: here while a block is being recognised."""
    samples = as_int16(say("_ yes no _ _"))
    monkeypatch.setitem(sys.modules, "sounddevice", fake_sounddevice(np.tile(samples, 5)))
    heard = 0
    feed = RecognizerStream.feed

    def feed_and_press(stream: RecognizerStream, block: np.ndarray) -> object:
        nonlocal heard
        before, heard = heard, heard + len(block)
        # Blocks are longer where the machine is slow.
        if before < len(samples) - len(block) <= heard:
            signal.raise_signal(signal.SIGINT)
        return feed(stream, block)

    monkeypatch.setattr(RecognizerStream, "feed", feed_and_press)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    try:
        assert out_of(run(packed, "--device", "3", command="listen")) == "yes no\n"
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_microphone_that_falls_silent_is_an_error(packed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(microphone, "PATIENCE_SECS", 0.3)
    monkeypatch.setitem(sys.modules, "sounddevice", fake_sounddevice(as_int16(say("_ yes no _ _"))))
    gone = run(packed, "--device", "3", command="listen")
    assert gone.exit_code == 1
    assert gone.stdout == "yes no\n"
    assert "no sound came for 0.3 s" in gone.stderr
    for secs in ("nan", "inf"):
        refused = run(packed, "--device", "3", "--seconds", secs, command="listen")
        assert refused.exit_code == 1
        assert "expected a number above 0" in refused.stderr


def test_other_words_are_nothing_to_read_of_graphs(
    packed: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "phrases.txt").write_text("yes no\ntoy\n")
    result = run(packed, folder / "a.wav", "--phrases", tmp_path / "phrases.txt")
    assert out_of(result) == "yes no\n"
    assert "HCLG" not in result.stderr
    (tmp_path / "phrases.txt").write_text("yes sir\n")
    assert (
        "1 word of the phrases is unknown, and"
        in run(packed, folder / "a.wav", "--phrases", tmp_path / "phrases.txt").stderr
    )
    (tmp_path / "words.txt").write_text("sir\nmadam\n")
    assert "2 words are unknown, and" in run(packed, folder / "a.wav", "--add-words", tmp_path / "words.txt").stderr


def fake_sounddevice(samples: np.ndarray, fail: str | None = None) -> types.ModuleType:
    module = types.ModuleType("sounddevice")

    class PortAudioError(Exception):
        pass

    class InputStream:
        def __init__(
            self,
            samplerate: int,
            blocksize: int,
            device: object,
            channels: int,
            dtype: str,
            callback: Callable[..., None],
        ) -> None:
            if fail:
                raise PortAudioError(fail)
            assert (channels, dtype, device) == (1, "int16", 3)
            self.size, self.callback = blocksize, callback

        def __enter__(self) -> InputStream:
            for start in range(0, len(samples), self.size):
                block = np.zeros((self.size, 1), np.int16)
                part = samples[start : start + self.size]
                block[: len(part), 0] = part
                self.callback(block, self.size, None, "input overflow" if start == 0 else "")
            return self

        def __exit__(self, *_: object) -> None:
            pass

    module.PortAudioError, module.InputStream = PortAudioError, InputStream  # type: ignore[attr-defined]
    return module


def test_a_microphone_is_heard(packed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    samples = as_int16(say("_ yes no _ _"))
    monkeypatch.setitem(sys.modules, "sounddevice", fake_sounddevice(samples))
    secs = len(samples) / RATE
    result = run(packed, "--device", "3", "--seconds", secs, command="listen")
    assert out_of(result) == "yes no\n"
    assert "input overflow" in result.stderr
    monkeypatch.setitem(sys.modules, "sounddevice", fake_sounddevice(samples, "no such device"))
    refused = run(packed, "--device", "3", command="listen")
    assert refused.exit_code == 1
    assert "no such device" in refused.stderr
    assert "--device" in refused.stderr


def test_without_sounddevice_the_remedy_is_said(packed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    result = run(packed, command="listen")
    assert result.exit_code == 1
    assert "pip install 'asrkit[mic]'" in result.stderr


def test_help_of_both_loads_nothing_heavy() -> None:
    code = (
        "import sys\nfrom asrkit.cli.main import main\n"
        "for name in ('transcribe', 'listen', 'pack'):\n"
        "    main([name, '--help'], standalone_mode=False)\n"
        "print('LOADED', *[n for n in ('torch', 'librosa', 'kaldifst', 'soundfile') if n in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.splitlines()[-1] == "LOADED"

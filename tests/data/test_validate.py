"""`validate` finds each corruption of a valid data directory, all at once, and nothing in a valid one."""

from __future__ import annotations

import dataclasses
import json
import os
import tempfile
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asrkit.core.archives import ArchiveReader, ArchiveWriter
from asrkit.core.errors import ConfigError, DataError, FormatError
from asrkit.core.files import write_json
from asrkit.data.check_audio import AudioChecks, Levels, examine_audio
from asrkit.data.check_text import TextChecks, Vocabulary, is_mixed
from asrkit.data.findings import KINDS, Finding, ValidationReport
from asrkit.data.tables import SPECS, RawDataDir, read_table, sort_key
from asrkit.data.validate import ValidateConfig, validate
from tests.data.corruptions import CORRUPTIONS, edit, edit_line, wav_of
from tests.factories import make_data_dir, make_samples, write_wav

NEEDS_MORE = {"out-of-vocabulary", "wrong-lexicon", "not-mended"}
"""Kinds that need a lexicon or --fix; they have tests of their own."""


def test_every_kind_has_a_corruption() -> None:
    assert {corruption.kind for corruption in CORRUPTIONS.values()} == set(KINDS) - NEEDS_MORE


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_corruption_is_found(name: str, tmp_path: Path) -> None:
    corruption = CORRUPTIONS[name]
    make_data_dir(tmp_path, **corruption.made)
    assert not validate(tmp_path).findings
    corruption.spoil(tmp_path, "spk2-utt2")
    report = validate(tmp_path)
    found = report.of_kind(corruption.kind)
    assert found
    assert report.has_failed() == (report.count("error") > 0)
    for finding in report.findings:
        assert finding.where.startswith(str(tmp_path))
        assert finding.message
        assert finding.remedy


@settings(max_examples=25, deadline=None)
@given(
    name=st.sampled_from(sorted(CORRUPTIONS)),
    num_speakers=st.integers(2, 3),
    num_utterances=st.integers(3, 4),
    at=st.integers(0, 3),
    seed=st.integers(0, 99),
)
def test_any_one_corruption_of_any_utterance_is_found(
    name: str, num_speakers: int, num_utterances: int, at: int, seed: int
) -> None:
    corruption = CORRUPTIONS[name]
    with tempfile.TemporaryDirectory() as folder:
        made = {"num_speakers": num_speakers, "num_utterances": num_utterances, "seed": seed, **corruption.made}
        make_data_dir(Path(folder), **made)
        corruption.spoil(Path(folder), f"spk{1 + at % num_speakers}-utt{1 + at % num_utterances}")
        assert corruption.kind in validate(Path(folder)).kinds()


@settings(max_examples=20, deadline=None)
@given(
    num_speakers=st.integers(1, 3),
    num_utterances=st.integers(2, 12),
    sample_rate_hz=st.sampled_from([8000, 11025, 16000, 22050]),
    segments=st.booleans(),
    features=st.booleans(),
    suffix=st.sampled_from([".wav", ".flac"]),
    words=st.sampled_from([("one", "two"), ("ÉTÉ", "ÎLE", "NOËL"), ("да", "нет"), ("你好", "再见"), ("it's", "x-ray")]),
    folder=st.sampled_from(["plain", "with two  spaces", "ümläut", "a,b;'c", "(1)"]),
    seed=st.integers(0, 999),
)
def test_a_valid_directory_has_no_finding(folder: str, **made: object) -> None:
    with tempfile.TemporaryDirectory() as root:
        make_data_dir(Path(root, folder), audio_folder="my audio", **made)  # type: ignore[arg-type]
        assert validate(Path(root, folder)).findings == ()


def test_all_findings_come_at_once_with_their_places(tmp_path: Path) -> None:
    make_data_dir(tmp_path)
    edit(tmp_path / "text", lambda lines: [lines[1], lines[0], *lines[2:-1]])
    edit_line(tmp_path / "text", "spk2-utt1", lambda line: "spk2-utt1")
    wav_of(tmp_path, "spk1-utt3").unlink()
    edit_line(tmp_path / "wav.scp", "spk2-utt2", lambda line: "spk2-utt2 cat a.wav |")
    report = validate(tmp_path)
    got = {(f.kind, f.where.removeprefix(f"{tmp_path}/"), f.utterance_id) for f in report.findings}
    assert got == {
        ("unsorted", "text:2", "spk1-utt1"),
        ("missing-id", "wav.scp:6", "spk2-utt3"),
        ("empty-transcript", "text:4", "spk2-utt1"),
        ("missing-audio", "wav.scp:3", "spk1-utt3"),
        ("pipe", "wav.scp:5", "spk2-utt2"),
    }
    assert (report.num_utterances, report.num_speakers, report.num_recordings) == (6, 2, 6)
    assert report.audio_secs == pytest.approx(0.5 + 0.55 + 0.5 + 0.6)
    missing = report.of_kind("missing-id")[0]
    assert "'spk2-utt3' is in wav.scp, utt2spk and not in text" in missing.message


def test_a_similar_id_is_pointed_out(tmp_path: Path) -> None:
    make_data_dir(tmp_path)
    edit_line(tmp_path / "text", "spk1-utt2", lambda line: line.replace("spk1-utt2", "spk1-UTT2"))
    messages = " ".join(finding.message for finding in validate(tmp_path).of_kind("missing-id"))
    assert "text:2 has 'spk1-UTT2', which differs in case" in messages


def test_order_is_of_bytes_not_of_letters() -> None:
    ids = ["a", "B", "é", "Z", "_", "𝄞", "\uffff", "a-b", "a b", "ab"]
    assert sorted(ids, key=sort_key) == sorted(ids, key=lambda text: text.encode())
    assert sorted(ids, key=sort_key) != sorted(ids, key=str.casefold)


def test_a_white_space_in_a_path_is_part_of_it(tmp_path: Path) -> None:
    make_data_dir(tmp_path, audio_folder="two  spaces and\ttab ")
    assert validate(tmp_path).findings == ()
    edit_line(tmp_path / "wav.scp", "spk1-utt1", lambda line: line.replace("two  spaces", "two spaces"))
    assert validate(tmp_path).kinds() == {"missing-audio"}


def test_a_path_that_is_not_utf_8_on_the_disk_either_is_no_missing_file(tmp_path: Path) -> None:
    make_data_dir(tmp_path)
    name = os.fsencode(wav_of(tmp_path, "spk1-utt1"))
    try:
        os.rename(name, name.replace(b"utt1", b"\xe9"))
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    raw = (tmp_path / "wav.scp").read_bytes()
    (tmp_path / "wav.scp").write_bytes(raw.replace(b"/spk1-utt1.wav", b"/spk1-\xe9.wav"))
    report = validate(tmp_path)
    assert report.kinds() == {"encoding"}
    assert "rename the file" in report.findings[0].message
    json.dumps(report.to_json(), ensure_ascii=False).encode()


@pytest.mark.parametrize(
    ("raw", "encoding", "words"),
    [
        (b"u caf\xe9\n", None, "café"),
        (b"u it\x92s\n", None, "it’s"),
        (b"u \x81x\n", None, "\x81x"),
        (b"u \xef\xee\n", "cp1251", "по"),
        ("u здесь".encode("utf-16"), None, "здесь"),
        ("u 1\n".encode("utf-16-be"), None, "1"),
        ("u 1\n".encode("utf-32"), None, "1"),
        (b"\xef\xbb\xbfu x\n", None, "x"),
    ],
)
def test_text_is_decoded(raw: bytes, encoding: str | None, words: str, tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes(raw)
    table = read_table(tmp_path / "text", SPECS["text"], encoding)
    assert table.by_key["u"].value == words
    assert {fault.kind for fault in table.faults} & {"encoding", "byte-order-mark"}


def test_lines_are_counted_whatever_their_ends(tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes(b"a x\r\nb  y\rc z\n\n d")
    table = read_table(tmp_path / "text", SPECS["text"])
    assert [(entry.line, entry.key, entry.value) for entry in table.entries] == [
        (1, "a", "x"),
        (2, "b", "y"),
        (3, "c", "z"),
        (5, "d", ""),
    ]
    kinds = [(fault.kind, fault.line) for fault in table.faults]
    assert sorted(kinds) == sorted(
        [
            ("line-ends", 1),
            ("line-ends", 2),
            ("white-space", 2),
            ("blank-line", 4),
            ("white-space", 5),
            ("last-line", 5),
        ]
    )


def test_kaldis_empty_transcript_is_no_white_space_fault(tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes(b"a \nb x\n")
    assert read_table(tmp_path / "text", SPECS["text"]).faults == ()


def test_empty_transcripts_may_be_allowed(tmp_path: Path) -> None:
    make_data_dir(tmp_path)
    edit_line(tmp_path / "text", "spk1-utt1", lambda line: "spk1-utt1")
    assert validate(tmp_path).kinds() == {"empty-transcript"}
    assert not validate(tmp_path, ValidateConfig(text=TextChecks(allow_empty=True))).findings


def test_the_rate_may_be_given_or_stand_in_the_front_end(tmp_path: Path) -> None:
    make_data_dir(tmp_path / "a", features=True)
    report = validate(tmp_path / "a", ValidateConfig(audio=AudioChecks(sample_rate_hz=16000)))
    assert len(report.of_kind("sample-rate")) == 6
    assert "has 8000 Hz, expected 16000 Hz" in report.of_kind("sample-rate")[0].message
    edit(tmp_path / "a" / "frontend.json", lambda lines: [line.replace("8000", "11025") for line in lines])
    assert "expected 11025 Hz" in validate(tmp_path / "a").of_kind("sample-rate")[0].message


def test_resampled_audio_may_have_any_rate(tmp_path: Path) -> None:
    make_data_dir(tmp_path, features=True)
    write_wav(wav_of(tmp_path, "spk2-utt3"), make_samples(9600), 16000)
    write_json(tmp_path / "stage.json", {"extract": {"config": {"resample": False}}})
    assert validate(tmp_path).kinds() == {"sample-rate"}
    write_json(tmp_path / "stage.json", {"extract": {"config": {"resample": True}}})
    assert not validate(tmp_path).findings
    told = ValidateConfig(audio=AudioChecks(sample_rate_hz=8000))
    assert validate(tmp_path, told).kinds() == {"sample-rate"}
    (tmp_path / "stage.json").write_text("{")
    assert validate(tmp_path).kinds() == {"sample-rate"}


def test_statistics_may_be_per_utterance(tmp_path: Path) -> None:
    make_data_dir(tmp_path, features=True)
    speakers = dict(ArchiveReader(tmp_path / "cmvn.scp"))
    with ArchiveWriter(tmp_path, "cmvn") as writer:
        for key in ArchiveReader(tmp_path / "feats.scp"):
            writer.write(key, np.array(speakers[key.split("-")[0]]))
    assert not validate(tmp_path).findings
    edit(tmp_path / "cmvn.scp", lambda lines: lines[:2])
    assert validate(tmp_path).kinds() == {"stale-features"}


def test_frames_are_held_against_the_audio_where_no_file_counts_them(tmp_path: Path) -> None:
    make_data_dir(tmp_path, features=True)
    (tmp_path / "utt2num_frames").unlink()
    assert not validate(tmp_path).findings
    CORRUPTIONS["too-few-frames"].spoil(tmp_path, "spk1-utt2")
    (finding,) = validate(tmp_path).findings
    assert (finding.kind, finding.utterance_id) == ("feature-frames", "spk1-utt2")
    assert "has 30 frames, expected about 55 for 0.55 s" in finding.message


def test_warp_factors_name_line_and_remedy(tmp_path: Path) -> None:
    make_data_dir(tmp_path)
    (tmp_path / "spk2warp").write_text("spk1 0.92\nspk2 fast\n")
    (finding,) = validate(tmp_path).findings
    assert finding.where == f"{tmp_path / 'spk2warp'}:2"
    assert finding.message == "expected an id and a warp factor from 0.5 to 2, found 'spk2 fast'"
    (tmp_path / "spk2warp").write_text("spk1 0.92\n")
    (finding,) = validate(tmp_path).findings
    assert finding.message == "1 of 2 speakers are not in spk2warp: 'spk2'"
    assert "asrkit vtln" in finding.remedy
    (tmp_path / "spk2warp").write_text("spk1 0.92\nspk2 1\n")
    (tmp_path / "utt2warp").write_text("spk2-utt1 1.1\n")  # need not have all
    assert not validate(tmp_path).findings


def test_text_that_is_decomposed_throughout_is_not_mixed(tmp_path: Path) -> None:
    for form in ("NFC", "NFD"):
        words = [unicodedata.normalize(form, word) for word in ("née", "été", "ok")]
        make_data_dir(tmp_path / form, words=words)
        assert not validate(tmp_path / form).findings
        assert is_mixed(read_table(tmp_path / form / "text", SPECS["text"])) is False


def test_the_rarer_rate_is_wrong(tmp_path: Path) -> None:
    make_data_dir(tmp_path)
    write_wav(wav_of(tmp_path, "spk2-utt3"), make_samples(9000), 16000)
    (finding,) = validate(tmp_path).findings
    assert (finding.kind, finding.utterance_id) == ("sample-rate", "spk2-utt3")
    assert "5 of 6 recordings have 8000 Hz" in finding.message


def test_one_frame_is_enough_and_a_sample_less_is_not(tmp_path: Path) -> None:
    make_data_dir(tmp_path)
    edit_line(tmp_path / "text", "spk1-utt1", lambda line: "spk1-utt1 -")
    write_wav(wav_of(tmp_path, "spk1-utt1"), make_samples(200))
    assert not validate(tmp_path).findings
    write_wav(wav_of(tmp_path, "spk1-utt1"), make_samples(199))
    assert "too-short" in validate(tmp_path).kinds()


def test_without_samples_only_headers_are_read(tmp_path: Path) -> None:
    make_data_dir(tmp_path)
    write_wav(wav_of(tmp_path, "spk1-utt1"), np.zeros(4000, np.int16))
    wav_of(tmp_path, "spk1-utt2").write_bytes(b"")
    assert validate(tmp_path).kinds() == {"silent", "bad-audio"}
    assert validate(tmp_path, read_samples=False).kinds() == {"bad-audio"}


@pytest.mark.parametrize("segments", [False, True])
def test_any_number_of_jobs_finds_the_same(segments: bool, tmp_path: Path) -> None:
    make_data_dir(tmp_path, num_speakers=3, num_utterances=14, segments=segments)
    data = RawDataDir.read(tmp_path)
    one, two = (
        examine_audio(data, AudioChecks(), True, jobs, lambda items, total, label: iter(items)) for jobs in (1, 2)
    )
    assert one == two
    assert sum(len(facts.levels) for facts in one) == 42


def test_processes_find_what_threads_find(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    make_data_dir(tmp_path, num_speakers=3, num_utterances=8)
    for number, name in enumerate(("clipping", "empty-audio", "few-samples"), 1):
        CORRUPTIONS[name].spoil(tmp_path, f"spk{number}-utt2")
    threads = validate(tmp_path, num_jobs=2)
    monkeypatch.setattr("asrkit.data.check_audio._PROCESSES_FROM", 0)
    assert validate(tmp_path, num_jobs=2) == threads
    assert {"clipping", "bad-audio", "too-short"} <= threads.kinds()


def test_levels_are_measured_in_pieces_like_in_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    make_data_dir(tmp_path, segments=True)
    data = RawDataDir.read(tmp_path)

    def levels() -> dict[str, Levels]:
        facts = examine_audio(data, AudioChecks(), True, 1, lambda items, total, label: iter(items))
        return {key: value for one in facts for key, value in one.levels.items()}

    whole = levels()
    monkeypatch.setattr("asrkit.data.check_audio._PIECE_SECS", 0.0613)
    assert levels() == whole
    samples = make_samples(whole["spk2-utt1"].num_samples, 100)
    assert whole["spk2-utt1"].lowest == samples.min()
    assert whole["spk2-utt1"].mean == pytest.approx(samples.mean())


def test_floating_samples_that_are_not_finite_are_bad_audio(tmp_path: Path) -> None:
    import soundfile

    make_data_dir(tmp_path)
    samples = make_samples(4000) / 32768
    samples[17] = np.nan
    soundfile.write(str(wav_of(tmp_path, "spk1-utt1")), samples, 8000, subtype="FLOAT")
    assert validate(tmp_path).kinds() == {"bad-audio"}


def write_lexicon(path: Path, *lines: str) -> Vocabulary:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return Vocabulary.from_lexicon(path)


def test_unknown_words_are_counted_the_most_frequent_first(tmp_path: Path) -> None:
    make_data_dir(tmp_path / "d")
    said = {"1-utt1": "one eins", "1-utt2": "Two drei", "1-utt3": "drei one"}
    said |= {"2-utt1": "one", "2-utt2": "one", "2-utt3": "four, one"}
    (tmp_path / "d" / "text").write_text("".join(f"spk{key} {words}\n" for key, words in said.items()))
    vocabulary = write_lexicon(tmp_path / "lexicon.txt", "one W AH N", "two T UW", "four F AO R")
    report = validate(tmp_path / "d", vocabulary=vocabulary)
    found = report.of_kind("out-of-vocabulary")
    assert [finding.message.split()[0] for finding in found] == ["'drei'", "'Two'", "'eins'", "'four,'"]
    assert found[0].message.startswith("'drei' (2 times, first here)")
    assert found[0].where.endswith("text:2")
    assert found[1].message.endswith("it has 'two'")
    assert found[3].message.endswith("it has 'four'")
    assert report.oov_rate == pytest.approx(5 / 10)
    assert "wrong-lexicon" not in report.kinds()
    assert not report.has_failed()


def test_a_lexicon_in_another_case_is_the_wrong_one(tmp_path: Path) -> None:
    make_data_dir(tmp_path / "d")
    capitals = write_lexicon(
        tmp_path / "l", *(f"{word.upper()} X Y" for word in ("one", "two", "three", "four", "five"))
    )
    (finding,) = validate(tmp_path / "d", vocabulary=capitals).of_kind("wrong-lexicon")
    assert "of them are, when case, punctuation and Unicode form are ignored" in finding.message
    small = write_lexicon(tmp_path / "l", *(f"{word} X Y" for word in ("one", "two", "three", "four", "five", "six")))
    assert not validate(tmp_path / "d", vocabulary=small).findings


def test_silence_that_the_lexicon_knows_is_a_word(tmp_path: Path) -> None:
    make_data_dir(tmp_path / "d", words=("one", "!SIL"))
    assert validate(tmp_path / "d").kinds() == {"silence-word"}
    vocabulary = write_lexicon(tmp_path / "l", "one W AH N", "!SIL SIL")
    assert not validate(tmp_path / "d", vocabulary=vocabulary).findings


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["a X Y", "a Z", "b X"], {"a": 1, "b": 1}),
        (["a 0.5 X Y", "b 1.0 X Y Z"], {"a": 2, "b": 3}),
        (["a 1 X", "b Y"], {"a": 2, "b": 1}),
        ([";;; CMUdict", "a(2) X", "a X Y Z", "(1) W"], {"a": 1, "(1)": 1}),
        (["a\tX  Y", ""], {"a": 2}),
    ],
)
def test_lexicon_forms(lines: list[str], expected: dict[str, int], tmp_path: Path) -> None:
    assert write_lexicon(tmp_path / "lexicon.txt", *lines).num_phones == expected


def test_bad_lexicons_are_errors_with_their_place(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"lexicon\.txt:2: expected 'WORD PHONE"):
        write_lexicon(tmp_path / "lexicon.txt", "a X", "b")
    with pytest.raises(DataError, match="no words"):
        write_lexicon(tmp_path / "lexicon.txt", "")
    with pytest.raises(FormatError, match="no such file"):
        Vocabulary.from_lexicon(tmp_path / "absent")
    with pytest.raises(DataError, match=r"no words\.txt"):
        Vocabulary.from_lang(tmp_path)
    (tmp_path / "words.txt").write_text("")
    with pytest.raises(DataError, match="no words"):
        Vocabulary.from_lang(tmp_path)
    (tmp_path / "words.txt").write_text("<eps> 0\none 1\n#0 2\n")
    assert set(Vocabulary.from_lang(tmp_path).num_phones) == {"<eps>", "one", "#0"}


def test_fast_speech_is_fine_and_impossible_speech_is_not(tmp_path: Path) -> None:
    make_data_dir(tmp_path / "d", secs=1.0)
    edit_line(
        tmp_path / "d" / "text", "spk1-utt1", lambda line: "spk1-utt1 " + "abcd " * 8 + "<noise-of-a-passing-train>"
    )
    assert not validate(tmp_path / "d").findings  # 32 letters in 100 frames
    edit_line(tmp_path / "d" / "text", "spk1-utt1", lambda line: "spk1-utt1 " + "abcd " * 8 + "ef")
    (finding,) = validate(tmp_path / "d").findings
    assert (finding.kind, finding.utterance_id) == ("too-much-text", "spk1-utt1")
    words = ("one", "two", "three", "four", "five", "six", "ef")
    vocabulary = write_lexicon(tmp_path / "l", "abcd X", *(f"{word} X" for word in words))
    assert not validate(tmp_path / "d", vocabulary=vocabulary).findings  # 9 phones


def test_findings_are_grouped_capped_and_counted(tmp_path: Path) -> None:
    make_data_dir(tmp_path, num_utterances=9)
    edit(tmp_path / "text", lambda lines: [line.split()[0] for line in lines])
    wav_of(tmp_path, "spk1-utt2").write_bytes(b"")
    lines = validate(tmp_path).lines(show=4)
    assert sum("has no words" in line for line in lines) == 4
    assert any(line.startswith("  … and 14 more") for line in lines)
    assert any(line.split() == ["error", "empty-transcript", "18", "empty", "transcripts"] for line in lines)
    assert any("empty file, expected audio" in line for line in lines)
    report = validate(tmp_path).to_json()
    assert report["counts"] == {"bad-audio": 1, "empty-transcript": 18}
    assert len(report["findings"]) == 19
    assert ValidationReport(tmp_path).lines() == ()


def test_severities_decide_what_fails(tmp_path: Path) -> None:
    def report(kind: str) -> ValidationReport:
        return ValidationReport(tmp_path, (Finding(kind, "x:1", "y"),))

    assert report("unsorted").has_failed()
    assert not report("clipping").has_failed()
    assert report("clipping").has_failed(strict=True)
    assert not report("speaker-prefix").has_failed(strict=True)


def test_what_is_no_data_directory_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such data directory"):
        validate(tmp_path / "absent")
    with pytest.raises(DataError, match="none of the files of a data directory"):
        validate(tmp_path)
    make_data_dir(tmp_path)
    with pytest.raises(ConfigError, match="unknown encoding 'klingon'"):
        validate(tmp_path, ValidateConfig(encoding="klingon"))
    with pytest.raises(ConfigError, match="max_removed is 2"):
        dataclasses.replace(ValidateConfig(), max_removed=2.0)


def test_compressed_features_of_kaldi_are_understood(tmp_path: Path) -> None:
    import kaldiio

    make_data_dir(tmp_path, features=True)
    matrices = {key: np.array(matrix) for key, matrix in ArchiveReader(tmp_path / "feats.scp").items()}
    ark, scp = tmp_path / "raw.ark", tmp_path / "feats.scp"
    kaldiio.save_ark(str(ark), matrices, scp=str(scp), compression_method=2)
    assert not validate(tmp_path).findings
    ark.write_bytes(ark.read_bytes()[:-400])
    assert "bad-features" in validate(tmp_path).kinds()


@pytest.mark.slow
def test_real_corpora_have_no_error(corpora: Path, tmp_path: Path) -> None:
    from click.testing import CliRunner

    from asrkit.cli.main import main

    expected: dict[str, set[str]] = {
        "yesno": {"speaker-prefix"},  # ids as published: 0_0_0_0_1_1_1_1 of the one speaker
        "fsdd": set(),
        "an4": {"dc-offset"},  # one recording whose mean is 360, by hand with soundfile too
        "librispeech": {"clipping"},  # three of one speaker
        "timit": set(),
    }
    for name, kinds in expected.items():
        source = corpora / ("timit_sample" if name == "timit" else name)
        result = CliRunner().invoke(main, ["prepare", name, str(source), str(tmp_path / name), "-q"])
        assert result.exit_code == 0, result.output
        folders = [file.parent for file in (tmp_path / name).rglob("wav.scp")]
        assert folders
        reports = [validate(folder) for folder in folders]
        assert {kind for report in reports for kind in report.kinds()} == kinds
        assert not any(report.has_failed() for report in reports)

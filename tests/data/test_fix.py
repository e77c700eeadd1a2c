"""`fix` mends what can be mended, says what it did, keeps the old files, and has nothing to do a second time."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asrkit.data.datadir import DataDir
from asrkit.data.findings import ValidationReport
from asrkit.data.fix import FixReport
from asrkit.data.validate import ValidateConfig, validate
from asrkit.stages.record import RunOptions
from asrkit.stages.validate import run_validate
from tests.data.corruptions import CORRUPTIONS, SEGMENTS, edit, edit_line, in_bytes, wav_of
from tests.factories import make_data_dir


def mend(path: Path, config: ValidateConfig | None = None) -> tuple[FixReport, ValidationReport]:
    """Run ``validate --fix`` and return what was done and what is left."""
    report, found = run_validate(path, config or ValidateConfig(), RunOptions(), mend=True)
    done = report.figures["fix"]
    lines = [f"{action['file']}: {action['message']}" for action in done["actions"]]
    assert all(line in "\n".join(report.lines) for line in lines)
    return FixReport(tuple(lines), done["removed"], done["backups"]), found  # type: ignore[arg-type]


def snapshot(path: Path) -> dict[str, bytes]:
    """Return every file below a folder."""
    return {str(file.relative_to(path)): file.read_bytes() for file in sorted(path.rglob("*")) if file.is_file()}


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_fix_mends_what_it_can_and_nothing_twice(name: str, tmp_path: Path) -> None:
    corruption = CORRUPTIONS[name]
    make_data_dir(tmp_path, **corruption.made)
    corruption.spoil(tmp_path, "spk2-utt2")
    before = snapshot(tmp_path)
    done, left = mend(tmp_path)
    after = snapshot(tmp_path)
    assert (corruption.kind in left.kinds()) != corruption.mended
    if corruption.mended:
        assert not left.has_failed(strict=True)
        assert done.actions
        assert len(DataDir.load(tmp_path).utterances) >= 5 - (name == "spk2utt-missing")
    assert ("spk2-utt2" in done.removed) == corruption.removes
    changed = {file for file in before if before[file] != after.get(file)}
    assert {file: before[file] for file in changed} == {file: after[done.backups[file]] for file in done.backups}
    assert not any(file.startswith("wav/") for file in changed)
    again, left_again = mend(tmp_path)
    assert not again.actions
    assert not again.removed or corruption.kind == "not-mended"
    assert snapshot(tmp_path) == after
    assert left_again == left


@settings(max_examples=15, deadline=None)
@given(
    names=st.lists(st.sampled_from(sorted(CORRUPTIONS)), min_size=2, max_size=4, unique=True),
    keys=st.lists(st.sampled_from(["spk1-utt1", "spk2-utt3", "spk3-utt2"]), min_size=4, max_size=4),
    segments=st.booleans(),
)
def test_any_corruptions_together_are_mended_in_one_go(names: list[str], keys: list[str], segments: bool) -> None:
    names = [name for name in names if CORRUPTIONS[name].mended and not CORRUPTIONS[name].made]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        make_data_dir(path, num_speakers=3)
        try:
            for name, key in zip(names, keys):
                CORRUPTIONS[name].spoil(path, key)
        except (OSError, UnicodeError, IndexError):
            return  # one has taken away what the other wants to spoil
        _, left = mend(path)
        assert not left.has_failed()
        whole = snapshot(path)
        again, _ = mend(path)
        assert not again.actions
        assert snapshot(path) == whole


def test_a_valid_directory_is_left_as_it_is(tmp_path: Path) -> None:
    make_data_dir(tmp_path, segments=True, features=True)
    before = snapshot(tmp_path)
    done, left = mend(tmp_path)
    assert not done.actions
    assert not left.findings
    assert snapshot(tmp_path) == before


def test_an_utterance_goes_from_every_file_with_its_reason(tmp_path: Path) -> None:
    make_data_dir(tmp_path, num_utterances=12, features=True)
    wav_of(tmp_path, "spk1-utt3").write_bytes(b"")
    edit_line(tmp_path / "text", "spk2-utt5", lambda line: "")
    done, left = mend(tmp_path)
    assert not left.findings
    assert done.removed == {
        "spk1-utt3": f"{wav_of(tmp_path, 'spk1-utt3')}: empty file, expected audio",
        "spk2-utt5": "not in text",
    }
    for name in ("wav.scp", "utt2spk", "spk2utt", "text", "feats.scp", "utt2num_frames", "utt2dur"):
        content = (tmp_path / name).read_text().split()
        assert "spk1-utt3" not in content
        assert "spk2-utt5" not in content
        assert "spk2-utt6" in content
        assert (tmp_path / done.backups[name]).is_file()
    assert (tmp_path / "wav" / "spk1-utt3.wav").exists()


def test_a_speaker_without_utterances_goes_too(tmp_path: Path) -> None:
    make_data_dir(tmp_path, num_speakers=3, num_utterances=2)
    (tmp_path / "spk2gender").write_text("spk1 f\nspk2 m\nspk3 f\n")
    (tmp_path / "spk2warp").write_text("spk1 0.9\nspk2 1\nspk3 0.94\n")
    edit(tmp_path / "utt2spk", lambda lines: [line for line in lines if "spk2" not in line])
    done, left = mend(tmp_path)
    assert not left.findings
    assert sorted(done.removed) == ["spk2-utt1", "spk2-utt2"]
    assert (tmp_path / "spk2gender").read_text() == "spk1 f\nspk3 f\n"
    assert (tmp_path / "spk2warp").read_text() == "spk1 0.9\nspk3 0.94\n"
    assert "spk2 " not in (tmp_path / "spk2utt").read_text()


def test_conflicting_lines_are_left_for_a_person(tmp_path: Path) -> None:
    make_data_dir(tmp_path)
    edit_line(tmp_path / "text", "spk1-utt2", lambda line: f"{line} x\n{line}\n{line} x")
    done, left = mend(tmp_path)
    assert list(done.actions) == ["text: removed 1 duplicate lines"]
    (finding,) = left.findings
    assert (finding.kind, finding.utterance_id) == ("conflict", "spk1-utt2")
    lines = [line for line in (tmp_path / "text").read_text().split("\n") if line.startswith("spk1-utt2")]
    assert len(lines) == 2


def test_too_many_removals_are_refused(tmp_path: Path) -> None:
    make_data_dir(tmp_path)
    edit(tmp_path / "text", lambda lines: [f"other-{line} " for line in lines])
    before = (tmp_path / "utt2spk").read_bytes()
    done, left = mend(tmp_path)
    assert not done.removed
    (finding,) = left.of_kind("not-mended")
    assert "12 of 12 utterances would have to be removed, e.g. 'other-spk1-utt1': not in wav.scp" in finding.message
    assert (tmp_path / "utt2spk").read_bytes() == before
    assert (tmp_path / "text").read_bytes().startswith(b"other-spk1-utt1 ")


def test_max_removed_may_be_raised(tmp_path: Path) -> None:
    make_data_dir(tmp_path)
    for j in (1, 2, 3):
        wav_of(tmp_path, f"spk1-utt{j}").unlink()
    wav_of(tmp_path, "spk2-utt1").unlink()
    assert mend(tmp_path)[1].kinds() == {"missing-audio", "not-mended"}
    done, left = mend(tmp_path, ValidateConfig(max_removed=0.7))
    assert len(done.removed) == 4
    assert left.kinds() <= {"single-utterance"}


def test_stale_features_do_not_cost_utterances(tmp_path: Path) -> None:
    make_data_dir(tmp_path, features=True)
    for name in ("feats.scp", "utt2num_frames"):
        edit(tmp_path / name, lambda lines: lines[:3])
    done, left = mend(tmp_path)
    assert not done.removed
    assert left.kinds() == {"stale-features"}
    assert len((tmp_path / "text").read_text().splitlines()) == 6


@pytest.mark.parametrize(("num_lacking", "is_stale"), [(2, False), (3, True)])
def test_a_tenth_of_the_features_may_be_missing(num_lacking: int, is_stale: bool, tmp_path: Path) -> None:
    make_data_dir(tmp_path, num_utterances=10, features=True, secs=0.1, words=("a",))
    edit(tmp_path / "feats.scp", lambda lines: lines[num_lacking:])
    assert validate(tmp_path).kinds() == ({"stale-features"} if is_stale else {"missing-id"})
    done, left = mend(tmp_path)
    assert len(done.removed) == (0 if is_stale else num_lacking)
    assert left.kinds() == ({"stale-features"} if is_stale else set())


def test_segments_are_cut_at_the_end_of_the_recording(tmp_path: Path) -> None:
    make_data_dir(tmp_path, **SEGMENTS, secs=0.5173)
    CORRUPTIONS["segment-overhang"].spoil(tmp_path, "spk2-utt3")
    done, left = mend(tmp_path)
    assert not left.findings
    (line,) = done.actions
    assert "end cut from" in str(line)
    end = float((tmp_path / "segments").read_text().split()[-1])
    import soundfile

    duration = soundfile.info(str(tmp_path / "wav" / "spk2-rec.wav")).duration
    assert 0 <= duration - end < 0.001


def test_text_is_converted_and_the_guess_is_said(tmp_path: Path) -> None:
    make_data_dir(tmp_path)
    CORRUPTIONS["cp1252"].spoil(tmp_path, "")
    done, left = mend(tmp_path)
    assert not left.findings
    assert "converted to UTF-8" in str(done.actions[0])
    assert "read as cp1252" in str(done.actions[0])
    assert "it’s" in (tmp_path / "text").read_text(encoding="utf-8")
    assert b"it\x92s" in (tmp_path / ".backup" / "text").read_bytes()


def test_the_encoding_may_be_told(tmp_path: Path) -> None:
    make_data_dir(tmp_path)
    in_bytes("text", lambda raw: raw.replace(b"two", "два".encode("cp1251")))(tmp_path, "")
    mend(tmp_path, ValidateConfig(encoding="cp1251"))
    assert "два" in (tmp_path / "text").read_text(encoding="utf-8")


def test_older_backups_are_never_overwritten(tmp_path: Path) -> None:
    make_data_dir(tmp_path)
    contents = []
    for word in ("first", "second", "third"):
        edit_line(tmp_path / "text", "spk1-utt1", lambda line, word=word: f"{line}  {word}")  # type: ignore[misc]
        contents.append((tmp_path / "text").read_bytes())
        mend(tmp_path)
    names = ("text", "text.2", "text.3")
    assert [(tmp_path / ".backup" / name).read_bytes() for name in names] == contents


def test_a_failing_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_data_dir(tmp_path)
    CORRUPTIONS["crlf"].spoil(tmp_path, "")
    before = (tmp_path / "utt2spk").read_bytes()

    def fail(source: object, target: object) -> None:
        if str(target).endswith("/utt2spk") and ".backup" not in str(target):
            raise OSError("disk full")
        source_path, target_path = Path(str(source)), Path(str(target))
        source_path.rename(target_path)

    monkeypatch.setattr("asrkit.core.files.os.replace", fail)
    with pytest.raises(OSError, match="disk full"):
        mend(tmp_path)
    assert (tmp_path / "utt2spk").read_bytes() == before
    assert (tmp_path / ".backup" / "utt2spk").read_bytes() == before
    monkeypatch.undo()
    assert not mend(tmp_path)[1].findings
    assert not list(tmp_path.glob(".*.part"))


def test_lines_of_one_utterance_in_phones_ali_keep_their_order(tmp_path: Path) -> None:
    make_data_dir(tmp_path)
    (tmp_path / "phones.ali").write_text(
        "spk2-utt1 0.0 0.1 z\nspk2-utt1 0.1 0.3 a\nspk1-utt1 0.0 0.1 b\nspk1-utt1 0.1 0.2 b\nzoe 0 1 c\n"
    )
    assert validate(tmp_path).kinds() == {"unsorted", "unknown-id"}
    mend(tmp_path)
    assert (tmp_path / "phones.ali").read_text() == (
        "spk1-utt1 0.0 0.1 b\nspk1-utt1 0.1 0.2 b\nspk2-utt1 0.0 0.1 z\nspk2-utt1 0.1 0.3 a\n"
    )

"""`asrkit score` through the command line: results, files, every error a user can meet, and the page about it."""

from __future__ import annotations

import json
import math
import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from asrkit.cli.main import main

REFERENCE = """\
b-u1 it was the best of times
b-u2 it was the worst of times it was
z-u3 hello
"""
HYPOTHESIS = """\
z-u3
b-u1 ITS the best of times
b-u2 it IS the worst of times OR it was
"""


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make ``data`` (text, utt2spk), ``hyp`` and a decode directory ``decode``, and go there."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "text").write_text(REFERENCE)
    (tmp_path / "data" / "utt2spk").write_text("b-u1 b\nb-u2 b\nz-u3 z\n")
    (tmp_path / "hyp").write_text(HYPOTHESIS)
    (tmp_path / "decode").mkdir()
    (tmp_path / "decode" / "hyp.w9_p0.txt").write_text(HYPOTHESIS)
    (tmp_path / "decode" / "hyp.w10_p0.5.txt").write_text(HYPOTHESIS.replace("z-u3", "z-u3 hello"))
    (tmp_path / "decode" / "hyp.w11_p0.txt").write_text(REFERENCE.replace("best", "WORST").replace("hello", "ELLO NO"))
    return tmp_path


def run(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(main, ["score", *arguments])
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result


def figures(*arguments: str) -> dict[str, object]:
    printed: dict[str, dict[str, object]] = json.loads(run(*arguments, "--json").stdout)
    return printed["figures"]


def failing(*arguments: str) -> str:
    result = run(*arguments, code=1)
    assert result.stdout == ""
    return result.stderr.strip()


def test_the_line_is_kaldis(data: Path) -> None:
    first = run("data", "hyp").stdout.splitlines()[0]
    assert first == (
        "%WER 33.33 [ 5 / 15, 1 ins, 2 del, 2 sub ] %SER 100.00 [ 3 / 3 ] "
        "95 % interval [25.0, 100.0] (1000 resamples of 3 utterances)"
    )
    assert (
        "%WER 33.33 [ 5 / 15, 1 ins, 2 del, 2 sub ] %SER 100.00 [ 3 / 3 ]\n"
        in run("data/text", "hyp", "--bootstrap", "0").stdout
    )


def test_json_is_one_object(data: Path) -> None:
    report = json.loads(run("data", "hyp", "--json", "--per-speaker", "--confusions", "1").stdout)
    assert report["stage"] == "score"
    assert report["failures"] == {}
    result = report["figures"]
    assert result["wer"] == pytest.approx(100 / 3)
    assert result["ser"] == 100.0
    assert result["counts"] == {
        "insertions": 1,
        "deletions": 2,
        "substitutions": 2,
        "reference_tokens": 15,
        "sentences": 3,
        "wrong_sentences": 3,
        "errors": 5,
        "rate": pytest.approx(100 / 3),
    }
    assert result["interval"] == {
        "low": 25.0,
        "high": 100.0,
        "level": 0.95,
        "resampled": "utterance",
        "num_groups": 3,
        "num_replications": 1000,
    }
    assert {speaker: counts["errors"] for speaker, counts in result["per_speaker"].items()} == {"b": 4, "z": 1}
    assert result["confusions"] == [{"reference": None, "hypothesis": "OR", "count": 1}]


def test_a_perfect_hypothesis_has_no_errors(data: Path) -> None:
    assert figures("data", "data/text")["wer"] == 0.0


def test_units_folding_and_ignored_tokens(data: Path) -> None:
    (data / "ref.phn").write_text("u1 h# sh iy pau q ix h#\nu2 h# aa h#\n")
    (data / "hyp.phn").write_text("u1 sil zh iy sil ih sil spn\nu2 sil ao sil\n")
    assert figures("ref.phn", "hyp.phn", "--unit", "phone")["per"] == pytest.approx(100 * 9 / 10)
    folded = figures("ref.phn", "hyp.phn", "--unit", "phone", "--fold", "timit39", "--ignore", "spn")
    assert folded["counts"]["reference_tokens"] == 9  # type: ignore[index]
    assert folded["per"] == 0.0
    without = figures("ref.phn", "hyp.phn", "--unit=phone", "--fold=timit39", "--ignore=spn", "--ignore=sil")
    assert without["counts"]["reference_tokens"] == 4  # type: ignore[index]

    (data / "ref.c").write_text("u1 ab cd\n")
    (data / "hyp.c").write_text("u1 abcd\n")
    assert figures("ref.c", "hyp.c", "--unit", "char")["cer"] == 0.0
    assert figures("ref.c", "hyp.c", "--unit", "char", "--count-spaces")["cer"] == pytest.approx(20.0)


def test_spelling_variants(data: Path) -> None:
    (data / "glm").write_text(";; shouting\nITS it\nIS was\n")
    counts = figures("data", "hyp", "--glm", "glm")["counts"]
    assert counts["errors"] == 3  # type: ignore[index]
    assert counts["substitutions"] == 0  # type: ignore[index]


def test_utterances_to_a_file_or_to_the_screen(data: Path) -> None:
    run("data", "hyp", "--utterances", "out/pairs.txt")
    text = (data / "out" / "pairs.txt").read_text()
    assert text.startswith(
        "id: b-u1  speaker: b\nScores: (#C #S #D #I) 4 1 1 0\n"
        "REF:  it  was the best of times\nHYP:  ITS *** the best of times\nEval: S   D\n\n"
    )
    assert "HYP:  *****\n" in text
    assert text in run("data", "hyp", "--utterances", "-").stdout
    assert "speaker" not in run("data/text", "hyp", "--utterances", "-").stdout
    refused = run("data", "hyp", "--utterances", "-", "--json", code=2)
    assert "both print on standard output" in refused.stderr


def test_tables_by_speaker_and_of_confusions(data: Path) -> None:
    (data / "spk").write_text("b-u1 m\nb-u2 n\nz-u3 n\n")
    lines = run("data/text", "hyp", "--utt2spk", "spk", "--per-speaker", "--confusions", "9").stdout.splitlines()
    assert lines[0].split() == ["speaker", "sents", "tokens", "corr", "sub", "del", "ins", "%err", "%s.err"]
    assert lines[2].split()[:3] == ["n", "2", "9"]
    assert "substitutions: 2 (2 different)" in lines
    assert "     1  was -> IS" in lines


def test_missing_hypotheses_are_an_error_or_counted_and_named(data: Path) -> None:
    (data / "short").write_text("b-u1 it was the best of times\n")
    assert failing("data", "short") == (
        "asrkit: short: 2 of 3 utterances have no hypothesis: b-u2, z-u3 "
        "(decode them, or count them as deleted with --allow-missing)"
    )
    report = json.loads(run("data", "short", "--allow-missing", "--json").stdout)
    assert report["figures"]["counts"]["deletions"] == 9
    assert report["figures"]["missing"] == 2
    assert set(report["failures"]) == {"b-u2", "z-u3"}
    assert (
        "2 utterances without a hypothesis in short, counted as deleted: b-u2, z-u3"
        in run("data", "short", "--allow-missing").stdout
    )
    assert (
        "hypothesis in short, counted as deleted" in run("data", "hyp", "--compare", "short", "--allow-missing").stdout
    )


def test_extra_hypotheses_are_an_error(data: Path) -> None:
    (data / "more").write_text(HYPOTHESIS + "z-u4 what\n")
    assert "more: 1 hypothesis has no reference: z-u4" in failing("data", "more", "--allow-missing")


def test_a_decode_directory_gives_the_best_setting(data: Path) -> None:
    out = run("data", "decode", "--bootstrap", "0").stdout
    assert out.splitlines()[:5] == [
        "lm weight  penalty   %err  errors  ins  del  sub",
        "9                0  33.33       5    1    2    2",
        "10             0.5  26.67       4    1    1    2",
        "11               0  20.00       3    1    0    2  *",
        "",
    ]
    assert "%WER 20.00 [ 3 / 15" in out
    assert json.loads((data / "decode" / "best.json").read_text()) == {
        "lm_weight": 11.0,
        "insertion_penalty": 0.0,
        "wer": 20.0,
        "errors": 3,
        "reference_tokens": 15,
        "hypotheses": "hyp.w11_p0.txt",
        "reference": "data",
    }
    result = figures("data", "decode")
    assert (result["lm_weight"], result["insertion_penalty"], result["wer"]) == (11.0, 0.0, 20.0)
    assert [setting["errors"] for setting in result["settings"]] == [5, 4, 3]  # type: ignore[attr-defined]


def _claim(data: Path, setting: dict[str, float] | None = None, **confidences: list[tuple[str, float]]) -> None:
    lines = [
        json.dumps(
            {
                "utterance_id": key.replace("_", "-"),
                **(setting or {}),
                "words": [{"word": word, "confidence": sure} for word, sure in words],
            }
        )
        for key, words in confidences.items()
    ]
    (data / "decode" / "hyp.jsonl").write_text("\n".join(lines) + "\n")


def test_the_confidences_of_a_decode_directory_are_checked(data: Path) -> None:
    assert "confidences" not in figures("data", "decode")
    _claim(
        data, b_u1=[("it", 0.95), ("WAS", 0.85), ("the", 0.95), ("best", 0.95), ("of", 0.95)], z_u3=[("hello", 0.15)]
    )
    found = figures("data", "decode")["confidences"]
    assert isinstance(found, dict)
    assert (found["num_words"], found["num_right"]) == (6, 5)
    # 4 words of 0.95 are right, one of 0.85 is wrong, one of 0.15 is right.
    assert found["expected_error"] == pytest.approx((4 * 0.05 + 0.85 + 0.85) / 6)
    assert (
        "confidences of 6 words of the first setting: expected calibration error 0.317" in run("data", "decode").stdout
    )
    # An ignored word does not count.
    found = figures("data", "decode", "--ignore", "WAS")["confidences"]
    assert isinstance(found, dict)
    assert (found["num_words"], found["num_right"]) == (5, 5)


def test_confidences_are_those_of_the_main_setting_which_is_named(data: Path) -> None:
    """The rate is the best setting's, which is another."""
    _claim(data, {"lm_weight": 9.5, "insertion_penalty": 2.0}, z_u3=[("hello", 0.15)])
    result = figures("data", "decode")
    found = result["confidences"]
    assert isinstance(found, dict)
    assert (found["lm_weight"], found["insertion_penalty"], result["lm_weight"]) == (9.5, 2.0, 11.0)
    said = run("data", "decode").stdout
    assert "confidences of 1 words of LM weight 9.5 and penalty 2, the first setting: expected" in said


def test_damaged_confidences_are_named(data: Path) -> None:
    (data / "decode" / "hyp.jsonl").write_text('{"utterance_id": "b-u1", "words": [{"word": "it"}]}\n')
    assert "hyp.jsonl:1" in failing("data", "decode")
    for sure in (math.nan, 7.0, -1.0):
        _claim(data, b_u1=[("it", sure)])
        assert "expected 0 to 1" in failing("data", "decode")
    (data / "decode" / "hyp.jsonl").write_text("[" * 100_000 + "\n")
    assert "hyp.jsonl:1" in failing("data", "decode")


def test_a_figure_that_is_no_number_is_null_in_json(data: Path) -> None:
    """Where all words are right there is nothing that confidences could tell apart."""
    _claim(data, b_u1=[("it", 0.5)])
    found = figures("data", "decode")["confidences"]
    assert isinstance(found, dict)
    assert (found["num_words"], found["num_right"], found["cross_entropy"]) == (1, 1, None)


def test_comparing_two_systems(data: Path) -> None:
    same = figures("data", "hyp", "--compare", "hyp")["comparison"]
    assert same["mapsswe"]["p_value"] == 1.0  # type: ignore[index]
    assert same["bootstrap"]["p_value"] == 1.0  # type: ignore[index]

    (data / "many").mkdir()
    references = [f"u{n:03d} one two three four five six seven" for n in range(120)]
    worse = [line.replace("four", "for") if n % 3 == 0 else line for n, line in enumerate(references)]
    (data / "many" / "text").write_text("\n".join(references) + "\n")
    (data / "worse").write_text("\n".join(worse) + "\n")
    result = figures("many", "worse", "--compare", "many/text")["comparison"]
    assert result["mapsswe"]["num_segments"] == 40  # type: ignore[index]
    assert result["mapsswe"]["p_value"] < 0.01  # type: ignore[index]
    assert result["bootstrap"]["p_value"] < 0.01  # type: ignore[index]
    assert result["bootstrap"]["difference"] == pytest.approx(100 * 40 / 840)  # type: ignore[index]
    swapped = figures("many", "many/text", "--compare", "worse")["comparison"]
    assert swapped["bootstrap"]["p_value"] == result["bootstrap"]["p_value"]  # type: ignore[index]
    assert swapped["bootstrap"]["difference"] == -result["bootstrap"]["difference"]  # type: ignore[index]
    text = run("many", "worse", "--compare", "many/text").stdout
    assert "worse against many/text:\n  MAPSSWE: p < 0.0001 (40 segments" in text
    assert "paired bootstrap: p = 0.0020 (difference +4.76 % absolute" in text


def test_ten_speakers_are_resampled_and_nine_are_not(data: Path) -> None:
    for number, resampled in ((10, "speaker"), (9, "utterance")):
        keys = [f"s{n % number}-{n}" for n in range(30)]
        (data / "data" / "text").write_text("".join(f"{key} a b\n" for key in keys))
        (data / "data" / "utt2spk").write_text("".join(f"{key} {key[:2]}\n" for key in keys))
        assert figures("data", "data/text")["interval"]["resampled"] == resampled  # type: ignore[index]
    forced = figures("data", "data/text", "--resample", "speaker", "--compare", "data/text")
    assert forced["interval"]["num_groups"] == 9  # type: ignore[index]
    assert forced["comparison"]["bootstrap"]["num_groups"] == 9  # type: ignore[index]


def test_a_single_utterance_has_no_interval(data: Path) -> None:
    (data / "one").write_text("u1 a b c d\n")
    (data / "two").write_text("u1 a b d\n")
    assert "(no interval: one utterance alone)" in run("one", "two").stdout
    assert "interval" not in figures("one", "two")


def test_options_are_configuration(data: Path) -> None:
    printed = run("data", "hyp", "--ignore", "<UNK>", "--bootstrap", "0", "--print-config").stdout
    assert 'ignore = ["<UNK>"]' in printed
    assert "bootstrap = 0" in printed
    (data / "score.toml").write_text('unit = "char"\nbootstrap = 50\n')
    result = figures("data", "hyp", "--config", "score.toml", "--bootstrap", "60")
    assert "cer" in result
    assert result["interval"]["num_replications"] == 60  # type: ignore[index]


def test_the_seed_decides_the_interval(data: Path) -> None:
    references = [f"u{n:02d} " + "a " * (3 + n % 5) for n in range(40)]
    (data / "r").write_text("\n".join(references) + "\n")
    (data / "h").write_text("\n".join(line.replace("a ", "b ", n % 4) for n, line in enumerate(references)) + "\n")
    one, again, other = (figures("r", "h", "--seed", seed, "--bootstrap", "200")["interval"] for seed in "112")
    assert one == again
    assert one != other


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["data", "nowhere"], "nowhere: no such file"),
        (["nowhere", "hyp"], "nowhere: no such file"),
        (["decode", "hyp"], "decode/text: no such file"),
        (["data", "data"], "data: no hypotheses (hyp.*.txt) in this directory"),
        (["empty", "empty"], "empty: no words in the references, so there is no error rate"),
        (["silent", "silent"], "silent: no words in the references"),
        (["latin", "hyp"], "latin:2: not UTF-8 text (byte 0xe9)"),
        (["data", "twice"], "twice:2: duplicate utterance 'u1'"),
        (["data", "decode-odd"], "decode-odd/hyp.best.txt: the name does not say its setting"),
        (["data", "hyp", "--compare", "decode"], "decode: no such file"),
        (["data", "hyp", "--glm", "hyp"], "hyp:1: expected 'VARIANT SPELLING', found 'z-u3'"),
        (["data/text", "hyp", "--per-speaker"], "data/text: the speakers are not known (name a data directory"),
        (["data/text", "hyp", "--resample", "speaker"], "data/text: the speakers are not known"),
        (["data", "hyp", "--utt2spk", "few"], "few: 2 utterances of data/text have no speaker: b-u2, z-u3"),
        (["data", "hyp", "--fold", "timit39"], "fold is timit39, but unit is word (add --unit phone)"),
        (["data", "hyp", "--unit", "phone", "--fold", "timit39"], "data/text: b-u1: 'it' is not one of TIMIT's phones"),
        (["data", "hyp", "--count-spaces"], "count_spaces is set, but unit is word (add --unit char)"),
        (["data", "hyp", "--set", "level=1.5"], "level is 1.5, expected a number between 0 and 1"),
        (["data", "hyp", "--set", "bootstrap=-3"], "bootstrap is -3, expected 0 or more"),
        (["data", "hyp", "--set", "unitt=char"], "unknown key unitt (did you mean unit?)"),
    ],
)
def test_errors(data: Path, arguments: list[str], message: str) -> None:
    (data / "empty").write_text("")
    (data / "silent").write_text("u1\nu2\n")
    (data / "latin").write_bytes(b"u1 a\nu2 caf\xe9\n")
    (data / "twice").write_text("u1 a\nu1 b\n")
    (data / "few").write_text("b-u1 b\n")
    (data / "decode-odd").mkdir()
    (data / "decode-odd" / "hyp.best.txt").write_text(HYPOTHESIS)
    assert message in failing(*arguments)


def test_a_bad_setting_leaves_no_best_json(data: Path) -> None:
    (data / "decode" / "hyp.w12_p0.txt").write_text("b-u1 it\n")
    assert "decode/hyp.w12_p0.txt: 2 of 3 utterances have no hypothesis" in failing("data", "decode")
    assert not (data / "decode" / "best.json").exists()


@pytest.mark.parametrize(
    "arguments", [["data"], ["data", "hyp", "--unit", "syllable"], ["data", "hyp", "--bootstrap=-1"]]
)
def test_usage_errors(data: Path, arguments: list[str]) -> None:
    assert "Usage: " in run(*arguments, code=2).stderr


def test_help_is_the_text_of_the_command_table() -> None:
    from asrkit.cli.main import COMMANDS
    from asrkit.cli.score import command

    assert command.get_short_help_str(200) == COMMANDS["score"][1]


PAGE = Path(__file__).resolve().parents[2] / "docs" / "scoring.md"


def test_the_page_shows_what_the_commands_print(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    page = PAGE.read_text()
    for name, text in re.findall(r"^`(\S+)`:\n\n```text\n(.*?)```", page, re.M | re.S):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text(text)
    shown = re.findall(r"^\$ (.*)\n((?:(?!\$ |```).*\n)*)", page, re.M)
    assert len(shown) >= 8
    for line, expected in shown:
        program, *arguments = shlex.split(line)
        if program == "asrkit":
            printed = run(*arguments[1:]).stdout
        else:
            printed = Path(arguments[-1]).read_text()
            printed = "".join(printed.splitlines(keepends=True)[:10] if program == "head" else printed)
        assert without_times(printed) == without_times(expected), line


def without_times(text: str) -> str:
    return re.sub(r'done in \d+\.\d s|"seconds": \d+\.\d+', "TIME", text)

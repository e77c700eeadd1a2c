"""Words at run time: phrases, grammars and new words, without training."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

import asrkit
from asrkit.core.errors import AsrkitError, ConfigError, FormatError, GraphError
from asrkit.lang.g2p import G2pConfig, train_g2p
from asrkit.lm.arpa import read_arpa
from asrkit.lm.extension import extend_model
from asrkit.recognizer import graph_cache
from tests.recognizer.conftest import packed_into
from tests.recognizer.worlds import LEXICON, RATE, World, phone_sound, say


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "asrkit" / "graphs"


def spoken(*phones: str):  # type: ignore[no-untyped-def]
    import numpy as np

    rng = np.random.default_rng(1)
    return np.concatenate([phone_sound(p, rng) for p in ("_", "_", "_", *phones, "_", "_", "_")]).astype(np.float32)


def test_a_new_word_is_heard_only_when_it_is_known(packed: Path) -> None:
    stone = spoken("s", "t", "o", "n", "e")
    assert "stone" not in asrkit.load(packed)(stone, RATE).text
    recognizer = asrkit.load(packed, add_words={"stone": "s t o n e"})
    result = recognizer(stone, RATE)
    assert result.text == "stone"
    assert result.words[0].start_secs == pytest.approx(0.27, abs=0.05)
    assert recognizer(say("_ yes no _"), RATE).text == "yes no"


def test_a_new_word_may_sound_like_an_old_one(packed: Path) -> None:
    recognizer = asrkit.load(packed, add_words={"know": "n o", "gnaw": "n o"}, word_cost=0.1)
    assert recognizer(say("_ no _"), RATE).text in ("know", "gnaw")
    dear = asrkit.load(packed, add_words={"know": "n o", "gnaw": "n o"}, word_cost=30.0)
    assert dear(say("_ no _"), RATE).text == "no"


def test_only_phrases_are_heard(packed: Path, tmp_path: Path) -> None:
    said = say("_ yes no _")
    assert asrkit.load(packed, phrases=["toy not", "yes not"])(said, RATE).text == "yes not"
    assert asrkit.load(packed, phrases=["yes no"])(said, RATE).text == "yes no"
    (tmp_path / "list.txt").write_text("# a list\n/1/ yes no\n/2/ not\n")
    assert asrkit.load(packed, phrases=tmp_path / "list.txt")(say("_ not _"), RATE).text == "not"
    (tmp_path / "g.jsgf").write_text("#JSGF V1.0;\npublic <s> = (yes | no)+ toy;\n")
    recognizer = asrkit.load(packed, phrases=str(tmp_path / "g.jsgf"))
    assert recognizer(say("_ yes no no toy _"), RATE).text == "yes no no toy"
    stream = recognizer.stream()
    stream.feed(say("_ no toy _"))
    assert stream.finish().text == "no toy"


def test_phrases_may_have_added_words(packed: Path, tmp_path: Path) -> None:
    (tmp_path / "words").write_text("stone s t o n e\n\nten t e n\n")
    recognizer = asrkit.load(packed, phrases=["ten stone", "no stone"], add_words=tmp_path / "words")
    assert recognizer(spoken("t", "e", "n", "s", "t", "o", "n", "e"), RATE).text == "ten stone"


def test_unknown_words_need_somebody_to_pronounce_them(packed: Path, world: World, tmp_path: Path) -> None:
    for options in ({"phrases": ["yes stone"]}, {"add_words": {"stone": None}}):
        with pytest.raises(GraphError, match=r"stone.*--g2p"):
            asrkit.load(packed, **options)  # type: ignore[arg-type]
    spelt = {entry.word: (entry.phones,) for entry in LEXICON}
    spelt |= {
        word: (tuple(word),) for word in ("stony", "tens", "nose", "eye", "oyes", "sent", "toe", "yet", "so", "one")
    }
    g2p, _ = train_g2p(spelt, G2pConfig(order=2))
    g2p.save(tmp_path / "g2p.safetensors")
    talking = packed_into(tmp_path / "talking.asrkit", world, "--g2p", str(tmp_path / "g2p.safetensors"))
    stone = spoken("s", "t", "o", "n", "e")
    assert asrkit.load(talking, phrases=["yes stone", "stone"])(stone, RATE).text == "stone"
    assert asrkit.load(talking, add_words={"stone": None})(stone, RATE).text == "stone"
    with pytest.raises(GraphError, match="'x'"):
        asrkit.load(talking, add_words={"xxx": None})


def test_what_cannot_be_done_is_said(packed: Path, world: World, tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="has the phone 'zh'"):
        asrkit.load(packed, add_words={"stone": "s t zh"})
    with pytest.raises(FormatError, match="cannot be a word"):
        asrkit.load(packed, add_words={"#0": "s"})
    with pytest.raises(FormatError, match="no words"):
        asrkit.load(packed, add_words={})
    with pytest.raises(FormatError, match="no phrases"):
        asrkit.load(packed, phrases=[])
    with pytest.raises(FormatError, match="no such file"):
        asrkit.load(packed, phrases=tmp_path / "none")
    (tmp_path / "bad.jsgf").write_text("#JSGF V1.0;\npublic <s> = (yes | ;\n")
    with pytest.raises(FormatError, match="bad.jsgf:2"):
        asrkit.load(packed, phrases=tmp_path / "bad.jsgf")
    with pytest.raises(GraphError, match="holds no language model"):
        asrkit.load(world.model, world.graph, add_words={"stone": "s t o n e"})


@pytest.mark.parametrize("cost", [float("nan"), float("inf"), -1.0, 1e300])
def test_a_cost_of_words_that_is_none(packed: Path, cost: float) -> None:
    with pytest.raises(ConfigError, match="expected 0 to 200"):
        asrkit.load(packed, add_words={"stone": "s t o n e"}, word_cost=cost)


def test_a_cost_of_words_that_are_not_added(packed: Path) -> None:
    with pytest.raises(ConfigError, match="none are added"):
        asrkit.load(packed, word_cost=3.0)
    with pytest.raises(ConfigError, match="none are added"):
        asrkit.load(packed, phrases=["yes no"], add_words={"stone": "s t o n e"}, word_cost=3.0)


def test_faults_of_files_are_named_with_their_place(packed: Path, tmp_path: Path) -> None:
    path = tmp_path / "words"
    path.write_text("stone s t o n e\n\nstove s t o v\n")
    with pytest.raises(FormatError) as caught:
        asrkit.load(packed, add_words=path)
    assert caught.value.where == f"{path}:3"
    for rule, message in (("<NULL>", "only silence"), ("<VOID>", "no sentence")):
        path.write_text(f"#JSGF V1.0;\npublic <s> = {rule};\n")
        with pytest.raises(GraphError, match=message) as found:
            asrkit.load(packed, phrases=path)
        assert found.value.where == str(path)


def test_a_graph_is_built_once(packed: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = asrkit.load(packed, phrases=["yes no"])
    assert len(list(own_cache.glob("*.fst"))) == 1

    def refuse(*_: object) -> None:
        raise AssertionError("built again")

    with monkeypatch.context() as patched:
        patched.setattr(graph_cache, "compile_graph", refuse)
        assert asrkit.load(packed, phrases=["yes no"])(say("_ yes no _"), RATE) == first(say("_ yes no _"), RATE)
        with pytest.raises(AssertionError, match="built again"):
            asrkit.load(packed, phrases=["no yes"])
    (path,) = own_cache.glob("*.fst")
    path.write_bytes(path.read_bytes()[:50])
    assert asrkit.load(packed, phrases=["yes no"])(say("_ yes no _"), RATE).text == "yes no"
    monkeypatch.setattr(graph_cache, "MOST_KEPT", 2)
    for phrase in ("no", "yes", "toy"):
        asrkit.load(packed, phrases=[phrase])
    assert len(list(own_cache.glob("*.fst"))) == 2


def test_without_a_place_for_the_cache_it_is_built_each_time(
    packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert asrkit.load(packed, phrases=["yes no"])(say("_ yes no _"), RATE).text == "yes no"


ARPA = """\\data\\
ngram 1=5
ngram 2=2

\\1-grams:
-99 <s> -0.3
-0.6 </s>
-0.5 a -0.2
-1.2 b
{unknown}

\\2-grams:
-0.1 <s> a
-0.4 a b

\\end\\
"""


@pytest.mark.parametrize(("unknown", "is_open"), [("-0.8 <unk>", True), ("-0.9 c", False)])
def test_new_words_share_the_unknown_words_probability(tmp_path: Path, unknown: str, is_open: bool) -> None:
    (tmp_path / "lm.arpa").write_text(ARPA.format(unknown=unknown))
    model = read_arpa(tmp_path / "lm.arpa")
    extended = extend_model(model, ["x", "a", "y", "x"])
    assert extended.words == (*model.words, "x", "y")
    for context in ((), ("a",), ("<s>",)):
        for word in ("a", "b"):
            assert extended.log10_prob(context, word) == pytest.approx(model.log10_prob(context, word))
    new = 10 ** extended.log10_prob((), "x")
    if is_open:
        assert new == pytest.approx(10**-0.8 / 3)
        assert 10 ** extended.log10_prob((), "<unk>") == pytest.approx(10**-0.8 / 3)
    else:
        assert math.log10(new) == pytest.approx(-0.9)
    assert extended.log10_prob(("a",), "y") == pytest.approx(-0.2 + math.log10(new))
    dear = extend_model(model, ["x"], cost=5.0)
    assert dear.log10_prob((), "x") == pytest.approx(-5.0 / math.log(10))
    assert extend_model(model, ["a"]) is model


def test_an_error_of_a_grammar_is_one_of_ours(packed: Path) -> None:
    with pytest.raises(AsrkitError):
        asrkit.load(packed, phrases=["   "])

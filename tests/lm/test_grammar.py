"""Grammars by the sentences that they accept and how likely these are."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asrkit.core.errors import FormatError, GraphError
from asrkit.lm import acceptor
from asrkit.lm.acceptor import Acceptor, Chain, Choice, Expression, Repeat, Word, build_acceptor, may_be_empty
from asrkit.lm.grammar import phrase_list, read_grammar
from asrkit.lm.jsgf import parse_jsgf


def jsgf(rules: str) -> Acceptor:
    return build_acceptor(parse_jsgf(f"#JSGF V1.0;\ngrammar test;\n{rules}"))


def accepted(machine: Acceptor, max_words: int) -> dict[str, float]:
    """Sentence -> probability, paths added up."""
    table: dict[str, float] = {}
    for words, prob in machine.sentences(max_words):
        table[" ".join(words)] = table.get(" ".join(words), 0.0) + prob
    return table


@pytest.mark.parametrize(
    ("rules", "max_words", "expected"),
    [
        ("public <s> = one;", 3, {"one": 1.0}),
        ("public <s> = one two | three;", 3, {"one two": 0.5, "three": 0.5}),
        ("public <s> = /3/ one | /1/ two three;", 3, {"one": 0.75, "two three": 0.25}),
        ("public <s> = /0/ one | /.5/ two;", 3, {"two": 1.0}),
        ("public <s> = please [ go ] (left | right);", 3,
         {"please go left": 0.25, "please go right": 0.25, "please left": 0.25, "please right": 0.25}),
        ("public <s> = a* b;", 3, {"b": 0.5, "a b": 0.25, "a a b": 0.125}),
        ("public <s> = (/3/ a | /1/ b)+;", 2,
         {"a": 3 / 8, "b": 1 / 8, "a a": 9 / 64, "a b": 3 / 64, "b a": 3 / 64, "b b": 1 / 64}),
        ("public <s> = <d> <d>; <d> = 1 | 2;", 2, {"1 1": 0.25, "1 2": 0.25, "2 1": 0.25, "2 2": 0.25}),
        ("public <a> = x; public <b> = y; <c> = z;", 2, {"x": 0.5, "y": 0.5}),
        ("public <s> = a (<NULL> | b | <VOID>);", 2, {"a": 1 / 3, "a b": 1 / 3}),
        ("public <s> = a {tag \\} more} /* no */ \"b\" // c\n;", 3, {"a b": 1.0}),
        ("public <s> = [a] [b];", 2, {"": 0.25, "a": 0.25, "b": 0.25, "a b": 0.25}),
        ("public <s> = a b | a b | a;", 2, {"a b": 2 / 3, "a": 1 / 3}),
        ("public <s> = don't re-do grüß;", 3, {"don't re-do grüß": 1.0}),
        ("public <s> = a+ *;", 1, {"": 0.5, "a": 0.125}),
    ],
)  # fmt: skip
def test_sentences_and_their_probabilities(rules: str, max_words: int, expected: dict[str, float]) -> None:
    machine = jsgf(rules)
    found = accepted(machine, max_words)
    assert found == pytest.approx(expected)
    for sentence, prob in expected.items():
        assert machine.cost(sentence.split()) == pytest.approx(-math.log(prob))
    assert machine.cost(["never"]) == math.inf


def test_the_empty_repetition_in_question() -> None:
    """``a+*`` has one word in each round, so it is allowed: the inner rounds and the outer ones add up."""
    machine = jsgf("public <s> = a+*;")
    # by hand: n words in k rounds, C(n-1, k-1) ways, each 0.5^n of inner choices and 0.5^(k+1) of outer ones
    for n in range(1, 5):
        expected = sum(math.comb(n - 1, k - 1) * 0.5**n * 0.5 ** (k + 1) for k in range(1, n + 1))
        assert machine.cost(["a"] * n) == pytest.approx(-math.log(expected))


expressions = st.recursive(
    st.builds(Word, st.sampled_from("abc")),
    lambda part: st.one_of(
        st.builds(Chain, st.lists(part, max_size=3).map(tuple)),
        st.lists(st.tuples(part, st.sampled_from([1.0, 2.0, 0.5])), min_size=1, max_size=3).map(
            lambda rows: Choice(tuple(p for p, _ in rows), tuple(w for _, w in rows))
        ),
        part.filter(lambda p: not may_be_empty(p)).flatmap(
            lambda p: st.builds(Repeat, st.just(p), st.sampled_from([0, 1]), st.just(0.3))
        ),
    ),
    max_leaves=6,
)


def prob_of(expression: Expression, words: tuple[str, ...]) -> float:
    """P(words) straight from the meaning of an expression, trying every way to cut the words."""
    if isinstance(expression, Word):
        return float(words == (expression.text,))
    if isinstance(expression, Choice):
        total = sum(expression.weights)
        return sum(w / total * prob_of(p, words) for p, w in zip(expression.parts, expression.weights))
    if isinstance(expression, Repeat):
        stop = 1 - expression.again
        if expression.at_least == 0:
            once = Repeat(expression.part, 1, expression.again)
            return stop * (not words) + expression.again * prob_of(once, words)
        rest = Repeat(expression.part, 1, expression.again)
        result = stop * prob_of(expression.part, words)
        for i in range(1, len(words)):
            result += prob_of(expression.part, words[:i]) * expression.again * prob_of(rest, words[i:])
        return result
    if not expression.parts:
        return float(not words)
    rest_of = Chain(expression.parts[1:])
    return sum(prob_of(expression.parts[0], words[:i]) * prob_of(rest_of, words[i:]) for i in range(len(words) + 1))


@settings(max_examples=60, deadline=None)
@given(expressions)
def test_acceptor_has_the_probabilities_of_its_expression(expression: Expression) -> None:
    machine = build_acceptor(expression)
    for n in range(4):
        for words in itertools.product("abc", repeat=n):
            cost = machine.cost(words)
            assert math.exp(-cost) == pytest.approx(prob_of(expression, words), abs=1e-12)
    for state in range(machine.num_states):
        leaving = sum(math.exp(-arc.cost) for arc in machine.arcs if arc.source == state)
        leaving += math.exp(-machine.finals.get(state, math.inf))
        assert leaving == pytest.approx(1.0)


FAULTS = [
    ("public <s> = one", "4:1", "expected ';', found 'the end of the grammar'"),
    ("<s> = one;", "4:1", "no public rule"),
    ("public <s> = one <two>;", "3:18", "the rule <two> is not defined"),
    ("public <s> = a | a <s>;", "3:20", "the rule <s> is recursive: <s> -> <s>"),
    ("public <s> = <t>;\n<t> = x <u>;\n<u> = <t>;", "5:7", "the rule <t> is recursive: <t> -> <u> -> <t>"),
    ("public <s> = /2/ a | b;", "3:14", "some alternatives have a weight"),
    ("public <s> = /-2/ a;", "3:14", "the weight /-2/ is not a number"),
    ("public <s> = /0/ a | /0/ b;", "3:14", "sum to zero"),
    ("public <s> = /1e999/ a | /1/ b;", "3:14", "the weight /1e999/ is too large"),
    ("public <s> = ([a])*;", "3:19", "* repeats something that may be empty"),
    ("public <s> = a | ;", "3:18", "expected a word, a rule or a group, found ';'"),
    ("public <s> = (a | b;", "3:20", "expected ')', found ';'"),
    ("public <s> = a };", "3:16", "unexpected character '}'"),
    ("public <s> = a;\n<s> = b;", "4:1", "<s> is defined already"),
    ("public <s> = \"new york\";", "3:14", "is not one word"),
    ("import <x.y>;", "3:1", "import is not supported"),
    ("public one = a;", "3:8", "expected a rule such as <rule>, found 'one'"),
    ("public <s> = " + "(" * 150 + "a" + ")" * 150 + ";", "3:114", "nested more than 100 deep"),
]  # fmt: skip


@pytest.mark.parametrize(("rules", "where", "message"), FAULTS)
def test_faults_name_line_and_column(rules: str, where: str, message: str) -> None:
    with pytest.raises(FormatError) as caught:
        parse_jsgf(f"#JSGF V1.0 UTF-8 en;\ngrammar test;\n{rules}\n", "x.gram")
    assert message in caught.value.message
    assert caught.value.where == f"x.gram:{where}"


def test_grammar_without_sentences_or_without_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(GraphError, match="accepts no sentence"):
        jsgf("public <s> = a <VOID>;")
    with pytest.raises(FormatError, match="expected '#JSGF"):
        parse_jsgf("public <s> = a;")
    doubling = "".join(f"<r{i}> = <r{i + 1}> | <r{i + 1}>;" for i in range(40))
    monkeypatch.setattr(acceptor, "MAX_PARTS", 1000)
    with pytest.raises(GraphError, match="more than 1000 parts"):
        jsgf(f"public <s> = <r0>+; {doubling} <r40> = a;")


def test_weights_of_any_size() -> None:
    assert accepted(jsgf("public <s> = /1e308/ a | /1e308/ b;"), 1) == pytest.approx({"a": 0.5, "b": 0.5})
    assert jsgf("public <s> = /1e-320/ a | /1e300/ b;").cost(["b"]) == pytest.approx(0.0)
    assert accepted(phrase_list([["a"], ["b"]], [1e308, 1e308]), 1) == pytest.approx({"a": 0.5, "b": 0.5})
    for machine in (jsgf("public <s> = /1e-320/ a | /1e300/ b;"), phrase_list([["a"], ["b"]], [1e-320, 1e300])):
        assert {arc.word for arc in machine.arcs} == {"a", "b"}
        assert all(0 <= arc.cost < 2000 for arc in machine.arcs)


def test_long_rows_of_optional_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    row = " ".join(f"[w{number}]" for number in range(300))
    machine = jsgf(f"public <s> = {row} end;")
    assert machine.cost(["end"]) == pytest.approx(300 * math.log(2))
    assert machine.cost(["w7", "w299", "end"]) == pytest.approx(300 * math.log(2))
    monkeypatch.setattr(acceptor, "MAX_PARTS", 10_000)
    with pytest.raises(GraphError, match="more than 10000 steps"):
        jsgf(f"public <s> = {row} end;")


def test_probabilities_below_the_smallest_number() -> None:
    nested: Expression = Word("last")
    for _ in range(600):
        nested = Choice((Word("other"), nested), (3.0, 1.0))
    assert max(arc.cost for arc in build_acceptor(nested).arcs) == pytest.approx(600 * math.log(4))


def test_phrase_list_is_a_deterministic_prefix_tree() -> None:
    machine = phrase_list([["turn", "left"], ["turn", "right"], ["turn"], ["stop"]], [1.0, 2.0, 1.0, 4.0])
    assert accepted(machine, 3) == pytest.approx(
        {"turn left": 1 / 8, "turn right": 2 / 8, "turn": 1 / 8, "stop": 4 / 8}
    )
    assert machine.num_states == 5
    assert len({(arc.source, arc.word) for arc in machine.arcs}) == len(machine.arcs) == 4
    assert machine.words() == ("left", "right", "stop", "turn")


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "list"
    path.write_text("\ufeff# places\r\n\r\n/3/ new york\r\n/1/ rome\r\n", encoding="utf-8")
    assert accepted(read_grammar(path), 2) == pytest.approx({"new york": 0.75, "rome": 0.25})
    path.write_text("yes\nno\n#1 hit\n")
    assert set(accepted(read_grammar(path), 2)) == {"yes", "no", "#1 hit"}
    path.write_text("#JSGF V1.0;\npublic <s> = yes | no;\n")
    assert set(accepted(read_grammar(path), 2)) == {"yes", "no"}


@pytest.mark.parametrize(
    ("content", "where", "message"),
    [
        ("a\nb\na\n", ":3", "'a' is listed twice"),
        ("/1/ a\nb\n", ":2", "some phrases have a weight"),
        ("/x/ a\n", ":1", "the weight /x/ is not a positive number"),
        ("/0/ a\n", ":1", "not a positive number"),
        ("/1/\n", ":1", "a weight without a phrase"),
        ("# nothing\n", "list", "no phrases in the list"),
    ],
)
def test_faulty_lists(tmp_path: Path, content: str, where: str, message: str) -> None:
    path = tmp_path / "list"
    path.write_text(content)
    with pytest.raises(FormatError, match=message) as caught:
        read_grammar(path)
    assert str(caught.value.where).endswith(where)

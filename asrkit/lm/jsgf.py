"""JSGF, the Java Speech Grammar Format, as far as it is regular: text to expressions."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import NoReturn

from asrkit.core.errors import FormatError
from asrkit.lm.acceptor import Chain, Choice, Expression, Repeat, Word, may_be_empty

_TOKENS = re.compile(
    r"""(?P<blank>\s+|//[^\n]*|/\*.*?\*/)
      | (?P<tag>\{(?:\\.|[^}\\])*\})
      | (?P<weight>/\s*[^/\s]*\s*/)
      | (?P<rule><[^<>\s]+>)
      | (?P<quoted>"(?:\\.|[^"\\])*")
      | (?P<mark>[;=|*+()\[\]])
      | (?P<word>[^\s;=|*+<>()\[\]{}/\\"]+)""",
    re.VERBOSE | re.DOTALL,
)

_MAX_DEPTH = 100


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    place: int


@dataclass(frozen=True)
class _Reference:
    """A rule's name where an expression is expected; replaced by the rule before anything leaves this module."""

    name: str
    place: int


def parse_jsgf(text: str, where: str = "grammar") -> Expression:
    """Parse a JSGF grammar into the expression of its public rules (a choice among them if there are several).

    Understood: the ``#JSGF V1.0;`` header, ``grammar name;``, ``[public] <rule> = ...;``, sequences, ``|``,
    ``/weight/`` in front of every alternative of a choice, ``( )``, ``[ ]``, ``*``, ``+``, references, ``<NULL>``,
    ``<VOID>``, quoted words, comments; ``{tags}`` are passed over. Without weights the alternatives are equally
    likely; an optional part is there with probability 1/2, and a repetition goes on with probability 1/2.

    Raises
    ------
    FormatError
        With line and column: a syntax error, an import, an unknown or recursive or doubly defined rule,
        alternatives some of which lack a weight, a repetition of something that may be empty, no public rule.
    """
    return _Parser(text, where).grammar()


class _Parser:
    """Recursive descent over the tokens; rules are resolved when all are known."""

    def __init__(self, text: str, where: str) -> None:
        self.text = text
        self.where = where
        self.resolved: dict[str, Expression] = {}
        self.open: list[str] = []
        self.empty: dict[int, bool] = {}
        self.tokens = self.tokenise()
        self.at = 0
        self.depth = 0

    def fail(self, place: int, message: str, remedy: str | None = None) -> NoReturn:
        line = self.text.count("\n", 0, place) + 1
        column = place - (self.text.rfind("\n", 0, place) + 1) + 1
        raise FormatError(message, where=f"{self.where}:{line}:{column}", remedy=remedy)

    def tokenise(self) -> list[_Token]:
        header = re.match(r"\ufeff?\s*#JSGF\s+V1\.0[^;\n]*;", self.text)
        if header is None:
            self.fail(0, "expected '#JSGF V1.0;' as the first line")
        place = header.end()
        tokens = []
        while place < len(self.text):
            match = _TOKENS.match(self.text, place)
            if match is None:
                self.fail(place, f"unexpected character {self.text[place]!r}")
            if match.lastgroup not in ("blank", "tag"):
                tokens.append(_Token(str(match.lastgroup), match[0], place))
            place = match.end()
        tokens.append(_Token("end", "the end of the grammar", len(self.text)))
        return tokens

    @property
    def token(self) -> _Token:
        return self.tokens[self.at]

    def take(self, text: str) -> bool:
        if self.token.text == text and self.token.kind in ("mark", "word"):
            self.at += 1
            return True
        return False

    def expect(self, text: str) -> None:
        if not self.take(text):
            self.fail(self.token.place, f"expected {text!r}, found {self.token.text!r}")

    def grammar(self) -> Expression:
        if self.take("grammar"):
            self.name("a grammar name", "word")
            self.expect(";")
        public: list[_Reference] = []
        bodies: dict[str, _Body] = {}
        while self.token.kind != "end":
            if self.token.text == "import":
                self.fail(self.token.place, "import is not supported", "copy the rules into this grammar")
            is_public = self.take("public")
            place = self.token.place
            name = self.name("a rule such as <rule>", "rule")
            if name in bodies or name in ("<NULL>", "<VOID>"):
                self.fail(place, f"{name} is defined already")
            self.expect("=")
            bodies[name] = self.choice()
            self.expect(";")
            if is_public:
                public.append(_Reference(name, place))
        if not public:
            self.fail(len(self.text), "no public rule", "write 'public' in front of the rule that sentences follow")
        parts = tuple(self.resolve(reference, bodies) for reference in public)
        return parts[0] if len(parts) == 1 else Choice(parts, (1.0,) * len(parts))

    def name(self, what: str, kind: str) -> str:
        token = self.token
        if token.kind != kind:
            self.fail(token.place, f"expected {what}, found {token.text!r}")
        self.at += 1
        return token.text

    def choice(self) -> _Body:
        place = self.token.place
        self.deeper(place)
        parts, weights = [], []
        while True:
            weights.append(self.weight())
            parts.append(self.sequence())
            if not self.take("|"):
                break
        self.depth -= 1
        given = [weight for weight in weights if weight is not None]
        if given and len(given) < len(weights):
            self.fail(place, "some alternatives have a weight and some have none", "give every one a weight or none")
        if given and not max(given) > 0:
            self.fail(place, "the weights of the alternatives sum to zero")
        if len(parts) == 1:
            return parts[0]
        return _Body("choice", place, tuple(parts), tuple(given) or (1.0,) * len(parts))

    def deeper(self, place: int) -> None:
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            self.fail(place, f"groups or rules are nested more than {_MAX_DEPTH} deep")

    def weight(self) -> float | None:
        token = self.token
        if token.kind != "weight":
            return None
        self.at += 1
        text = token.text.strip("/").strip()
        if not re.fullmatch(r"\d+(\.\d*)?([eE][-+]?\d+)?|\.\d+([eE][-+]?\d+)?", text):
            self.fail(token.place, f"the weight {token.text} is not a number of 0 or more")
        weight = float(text)
        if math.isinf(weight):
            self.fail(token.place, f"the weight {token.text} is too large")
        return weight

    def sequence(self) -> _Body:
        place = self.token.place
        parts = []
        while (part := self.item()) is not None:
            parts.append(part)
        if not parts:
            self.fail(place, f"expected a word, a rule or a group, found {self.token.text!r}")
        return parts[0] if len(parts) == 1 else _Body("chain", place, tuple(parts))

    def item(self) -> _Body | None:
        token = self.token
        part: _Body
        if self.take("("):
            part = self.choice()
            self.expect(")")
        elif self.take("["):
            part = _Body("choice", token.place, (self.choice(), _Body("chain", token.place)), (1.0, 1.0))
            self.expect("]")
        elif token.kind == "rule":
            self.at += 1
            part = _Body("reference", token.place, text=token.text)
        elif token.kind in ("word", "quoted"):
            self.at += 1
            part = _Body("word", token.place, text=self.word(token))
        else:
            return None
        while self.token.text in ("*", "+") and self.token.kind == "mark":
            place = self.token.place
            part = _Body("star" if self.token.text == "*" else "plus", place, (part,))
            self.at += 1
        return part

    def word(self, token: _Token) -> str:
        if token.kind == "word":
            return token.text
        text = re.sub(r"\\(.)", r"\1", token.text[1:-1])
        if not text or text.split() != [text]:
            self.fail(token.place, f"{token.text} is not one word", "write its words one by one, without quotes")
        return text

    def resolve(self, reference: _Reference, bodies: dict[str, _Body]) -> Expression:
        name = reference.name
        if name == "<NULL>":
            return Chain()
        if name == "<VOID>":
            return Choice()
        if name in self.resolved:
            return self.resolved[name]
        if name not in bodies:
            self.fail(reference.place, f"the rule {name} is not defined")
        if name in self.open:
            cycle = " -> ".join([*self.open[self.open.index(name) :], name])
            self.fail(reference.place, f"the rule {name} is recursive: {cycle}", "write repetitions with * or +")
        self.deeper(reference.place)
        self.open.append(name)
        self.resolved[name] = self.expression(bodies[name], bodies)
        self.open.pop()
        self.depth -= 1
        return self.resolved[name]

    def expression(self, body: _Body, bodies: dict[str, _Body]) -> Expression:
        if body.kind == "word":
            return Word(body.text)
        if body.kind == "reference":
            return self.resolve(_Reference(body.text, body.place), bodies)
        parts = tuple(self.expression(part, bodies) for part in body.parts)
        if body.kind == "chain":
            return Chain(parts)
        if body.kind == "choice":
            return Choice(parts, body.weights)
        if may_be_empty(parts[0], self.empty):
            mark = "*" if body.kind == "star" else "+"
            self.fail(body.place, f"{mark} repeats something that may be empty", "repeat only what has a word in it")
        return Repeat(parts[0], 0 if body.kind == "star" else 1)


@dataclass(frozen=True)
class _Body:
    """The syntax of a rule's right side, with the place of each part."""

    kind: str
    place: int
    parts: tuple[_Body, ...] = ()
    weights: tuple[float, ...] = ()
    text: str = ""

"""The stage of `asrkit make-graph`: from lang directory, language model and acoustic model to HCLG.

A graph of an n-gram model can be made in two ways. *Static*: HCLG holds the model. *On the fly*: HCLG holds a
small model pruned from it, and what the full model costs more stands in ``difference.fst``, which the search
composes with HCLG as it goes. The second takes a fraction of the memory, and more time for the search.
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from asrkit.core.config import to_mapping
from asrkit.core.errors import ConfigError, FormatError, GraphError, ModelError
from asrkit.graph.automaton import NgramAutomaton
from asrkit.graph.difference import difference
from asrkit.graph.directory import DIFFERENCE, save_graph
from asrkit.graph.fst import write_fst
from asrkit.graph.grammar_fst import BACKOFF, Grammar, acceptor_grammar, ngram_grammar
from asrkit.graph.hclg import GraphConfig
from asrkit.graph.tlg import compile_graph
from asrkit.hmm.ctc import blank_phone, ctc_structure
from asrkit.hmm.transitions import TransitionModel
from asrkit.lang.langdir import Lang
from asrkit.lang.silence import SILENCE_FILE
from asrkit.lang.symbols import SymbolTable
from asrkit.lm.arpa import read_arpa
from asrkit.lm.grammar import read_grammar
from asrkit.lm.lookahead import lookahead_model
from asrkit.recognizer.acoustics import is_ctc
from asrkit.stages.acoustic import copy_file, load_transition_model
from asrkit.stages.record import RunOptions, StageReport, StageResult, run_stage

log = logging.getLogger("asrkit")

Kind = Literal["auto", "arpa", "grammar"]

LANG_INPUTS = ("words.txt", "phones.txt", "lexicon.txt", SILENCE_FILE, "topology.json", "lang.json")
MODEL_INPUTS = ("tree.json", "topology.json", "model.safetensors")
OUTPUTS = ("HCLG.fst", "words.txt", "lexicon.txt", "phones.txt", "graph.json")
NUM_NAMED = 10
BYTES_PER_GRAMMAR_ARC = 3400
"""What the making of a graph takes at its peak, roughly: 8.4 GB were measured for a 4-gram of 2.5 million arcs."""


@dataclass(frozen=True)
class MakeGraphConfig(GraphConfig):
    """The graph's configuration, and what kind of file the language model is.

    Attributes
    ----------
    kind : {'auto', 'arpa', 'grammar'}
        'auto': ``.arpa`` and ``.arpa.gz`` (or any other ``.gz``) are n-gram models, all else is a grammar or a
        list of phrases.
    on_the_fly : bool
        Keep the n-gram model out of HCLG, and let the search add it.
    lookahead_threshold : float
        How far the model that HCLG holds then is pruned, as by `asrkit train-lm prune`: the smaller the threshold the
        larger the graph, and the better the search knows early where words lead. With 1 HCLG holds the unigrams alone.
    max_memory_gb : float
        A graph whose making would take more than about this is refused, before it fills the memory.
    """

    kind: Kind = "auto"
    on_the_fly: bool = False
    lookahead_threshold: float = 1e-7
    max_memory_gb: float = 10.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.lookahead_threshold > 0:
            raise ConfigError(f"lookahead_threshold is {self.lookahead_threshold}, expected a number above 0")
        if not self.max_memory_gb > 0:
            raise ConfigError(f"max_memory_gb is {self.max_memory_gb}, expected a number above 0")


def make_graph(
    lang_path: Path, lm_path: Path, model_path: Path, out: Path, config: MakeGraphConfig, options: RunOptions
) -> StageReport:
    """Build the decoding graph.

    Parameters
    ----------
    lang_path : Path
        Lang directory; its words may differ from those of the model's training, its phones may not.
    lm_path : Path
        ARPA file, JSGF grammar, or list of words and phrases.
    model_path : Path
        Model directory.
    out : Path
        The graph directory.

    Raises
    ------
    ModelError
        Phones or topology of lang and model differ.
    GraphError, FormatError
        No sentence of the language model can be said with the lexicon, or a file is damaged.
    """
    inputs = [
        *(lang_path / name for name in LANG_INPUTS),
        lm_path,
        *(model_path / name for name in MODEL_INPUTS),
    ]

    def body() -> StageResult:
        lang = Lang.load(lang_path)
        tree, transitions = load_transition_model(model_path)
        has_blank = is_ctc(model_path)
        check_lang_fits(lang, lang_path, transitions, model_path, has_blank)
        (out / "graph.json").unlink(missing_ok=True)  # killed half-way, this is no graph directory
        (out / DIFFERENCE).unlink(missing_ok=True)
        full: dict[str, int] = {}
        if config.on_the_fly:
            grammar, rest = split_language_model(lm_path, lang.words, config)
            out.mkdir(parents=True, exist_ok=True)
            write_fst(out / DIFFERENCE, rest.to_fst(lang.words.ids[BACKOFF]))
            full = {"full_states": rest.num_states, "full_ngrams": rest.num_ngrams}
            del rest
        else:
            grammar = read_language_model(lm_path, lang.words, config.kind)
        say_what_was_dropped(grammar, lm_path)
        check_memory(grammar, config, lm_path)
        try:
            fst = compile_graph(lang, grammar.fst, tree, transitions, config, has_blank)
        except MemoryError:
            raise too_large(
                f"there is not enough memory for a graph of {grammar.fst.num_arcs} n-grams", lm_path
            ) from None
        described = {
            "language_model": str(lm_path),
            "language_model_sha256": hashlib.sha256(lm_path.read_bytes()).hexdigest(),
            "lang": str(lang_path),
            "model": str(model_path),
            "config": to_mapping(config),
            "silence_phones": lang.silence_phones,
            "blank_phone": blank_phone(lang.inventory) if has_blank else None,
            "on_the_fly": config.on_the_fly,
        }
        copy_file(lang_path / "lexicon.txt", out / "lexicon.txt")
        save_graph(out, fst, lang, tree, transitions, described)
        figures = {
            "states": fst.num_states,
            "arcs": fst.num_arcs,
            "grammar_states": grammar.fst.num_states,
            "grammar_arcs": grammar.fst.num_arcs,
            "dropped_words": len(grammar.dropped_words),
            "dropped_ngrams": grammar.dropped_ngrams,
            **full,
        }
        return StageResult(figures)

    outputs = [out / name for name in (*OUTPUTS, *([DIFFERENCE] if config.on_the_fly else []))]
    return run_stage("make-graph", out, inputs, config, outputs, options, body, uses_seed=False)


def read_language_model(path: Path, words: SymbolTable, kind: Kind = "auto") -> Grammar:
    """Read an n-gram model or a grammar as an acceptor of the words of a lang directory."""
    if _is_arpa(path, kind):
        return ngram_grammar(read_arpa(path), words)
    return acceptor_grammar(read_grammar(path), words)


def split_language_model(path: Path, words: SymbolTable, config: MakeGraphConfig) -> tuple[Grammar, NgramAutomaton]:
    """Read an n-gram model as a small acceptor for the graph, and what the search adds to it.

    The acceptor says what the lexicon lacks of the whole model.

    Raises
    ------
    ConfigError
        It is no n-gram model.
    """
    if not _is_arpa(path, config.kind):
        raise ConfigError(
            f"{path} is a grammar or a list of phrases, and only an n-gram model can be composed on the fly",
            remedy="leave --on-the-fly out",
        )
    model = read_arpa(path)
    full = ngram_grammar(model, words)
    small = ngram_grammar(lookahead_model(model, config.lookahead_threshold), words)
    rest = difference(NgramAutomaton.from_fst(full.fst), NgramAutomaton.from_fst(small.fst))
    return Grammar(small.fst, full.dropped_words, full.dropped_ngrams), rest


def _is_arpa(path: Path, kind: Kind) -> bool:
    if not path.is_file():
        raise FormatError("no such language model file", where=path, remedy="make one with `asrkit train-lm`")
    return kind == "arpa" or (kind == "auto" and path.suffix in (".arpa", ".gz", ".lm"))


def check_memory(grammar: Grammar, config: MakeGraphConfig, path: Path) -> None:
    """Raise :class:`GraphError` when the graph of a grammar would take too much memory to make."""
    expected_gb = BYTES_PER_GRAMMAR_ARC * grammar.fst.num_arcs / 1e9
    if expected_gb > config.max_memory_gb:
        raise too_large(
            f"making a graph of {grammar.fst.num_arcs} n-grams would take about {expected_gb:.3g} GB, and "
            f"max_memory_gb is {config.max_memory_gb:g}",
            path,
        )


def too_large(message: str, path: Path) -> GraphError:
    """Return the error of a language model that is too large for a graph."""
    return GraphError(
        message,
        where=path,
        remedy="make it with --on-the-fly (if that is given, with a larger lookahead_threshold), prune the "
        "model with `asrkit train-lm prune`, or allow more with --set max_memory_gb=…",
    )


def say_what_was_dropped(grammar: Grammar, path: Path) -> None:
    """Log the words of a language model that the lexicon lacks."""
    if grammar.dropped_words:
        named = ", ".join(grammar.dropped_words[:NUM_NAMED])
        more = ", …" if len(grammar.dropped_words) > NUM_NAMED else ""
        log.warning(
            "%s: %d words are not in the lexicon and were left out, with %d n-grams: %s%s",
            path,
            len(grammar.dropped_words),
            grammar.dropped_ngrams,
            named,
            more,
        )


def check_lang_fits(
    lang: Lang, lang_path: Path, transitions: TransitionModel, model_path: Path, has_blank: bool = False
) -> None:
    """Raise :class:`ModelError` when the phones or HMMs of lang directory and model differ.

    A model that has a blank has HMMs of its own, and those of the lang directory play no part.
    """
    remedy = "make the lang directory with the phones and topology of the training"
    phones = lang_path.joinpath("phones.txt"), model_path / "lang" / "phones.txt"
    if phones[1].is_file():
        theirs = [s for s in SymbolTable.load(phones[1]).symbols if not s.startswith("#")]
        if theirs != [s for s in lang.phones.symbols if not s.startswith("#")]:
            raise ModelError(f"the phones differ from those of the model {model_path}", where=lang_path, remedy=remedy)
    model = transitions.topology
    own = ctc_structure(lang.inventory)[1].topology if has_blank else lang.topology
    if own.phones != model.phones or any(own.states(p) != model.states(p) for p in own.phones):
        raise ModelError(f"the topology differs from that of the model {model_path}", where=lang_path, remedy=remedy)

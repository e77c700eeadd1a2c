"""The stage of `asrkit make-graph`: from lang directory, language model and acoustic model to HCLG."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from asrkit.core.config import to_mapping
from asrkit.core.errors import FormatError, ModelError
from asrkit.graph.directory import save_graph
from asrkit.graph.grammar_fst import Grammar, acceptor_grammar, ngram_grammar
from asrkit.graph.hclg import GraphConfig, compile_hclg
from asrkit.hmm.transitions import TransitionModel
from asrkit.lang.langdir import Lang
from asrkit.lang.silence import SILENCE_FILE
from asrkit.lang.symbols import SymbolTable
from asrkit.lm.arpa import read_arpa
from asrkit.lm.grammar import read_grammar
from asrkit.stages.acoustic import copy_file, load_transition_model
from asrkit.stages.record import RunOptions, StageReport, StageResult, run_stage

log = logging.getLogger("asrkit")

Kind = Literal["auto", "arpa", "grammar"]

LANG_INPUTS = ("words.txt", "phones.txt", "lexicon.txt", SILENCE_FILE, "topology.json", "lang.json")
MODEL_INPUTS = ("tree.json", "topology.json", "model.safetensors")
OUTPUTS = ("HCLG.fst", "words.txt", "lexicon.txt", "phones.txt", "graph.json")
NUM_NAMED = 10


@dataclass(frozen=True)
class MakeGraphConfig(GraphConfig):
    """The graph's configuration, and what kind of file the language model is.

    Attributes
    ----------
    kind : {'auto', 'arpa', 'grammar'}
        'auto': ``.arpa`` and ``.arpa.gz`` (or any other ``.gz``) are n-gram models, all else is a grammar or a
        list of phrases.
    """

    kind: Kind = "auto"


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
        check_lang_fits(lang, lang_path, transitions, model_path)
        grammar = read_language_model(lm_path, lang.words, config.kind)
        say_what_was_dropped(grammar, lm_path)
        fst = compile_hclg(lang, grammar.fst, tree, transitions, config)
        described = {
            "language_model": str(lm_path),
            "language_model_sha256": hashlib.sha256(lm_path.read_bytes()).hexdigest(),
            "lang": str(lang_path),
            "model": str(model_path),
            "config": to_mapping(config),
            "silence_phones": lang.silence_phones,
        }
        (out / "graph.json").unlink(missing_ok=True)  # killed half-way, this is no graph directory
        copy_file(lang_path / "lexicon.txt", out / "lexicon.txt")
        save_graph(out, fst, lang, tree, transitions, described)
        figures = {
            "states": fst.num_states,
            "arcs": fst.num_arcs,
            "grammar_states": grammar.fst.num_states,
            "grammar_arcs": grammar.fst.num_arcs,
            "dropped_words": len(grammar.dropped_words),
            "dropped_ngrams": grammar.dropped_ngrams,
        }
        return StageResult(figures)

    return run_stage(
        "make-graph", out, inputs, config, [out / name for name in OUTPUTS], options, body, uses_seed=False
    )


def read_language_model(path: Path, words: SymbolTable, kind: Kind = "auto") -> Grammar:
    """Read an n-gram model or a grammar as an acceptor of the words of a lang directory."""
    if not path.is_file():
        raise FormatError("no such language model file", where=path, remedy="make one with `asrkit train-lm`")
    if kind == "auto":
        kind = "arpa" if path.suffix in (".arpa", ".gz", ".lm") else "grammar"
    if kind == "arpa":
        return ngram_grammar(read_arpa(path), words)
    return acceptor_grammar(read_grammar(path), words)


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


def check_lang_fits(lang: Lang, lang_path: Path, transitions: TransitionModel, model_path: Path) -> None:
    """Raise :class:`ModelError` when the phones or HMMs of lang directory and model differ."""
    remedy = "make the lang directory with the phones and topology of the training"
    phones = lang_path.joinpath("phones.txt"), model_path / "lang" / "phones.txt"
    if phones[1].is_file():
        theirs = [s for s in SymbolTable.load(phones[1]).symbols if not s.startswith("#")]
        if theirs != [s for s in lang.phones.symbols if not s.startswith("#")]:
            raise ModelError(f"the phones differ from those of the model {model_path}", where=lang_path, remedy=remedy)
    model, own = transitions.topology, lang.topology
    if own.phones != model.phones or any(own.states(p) != model.states(p) for p in own.phones):
        raise ModelError(f"the topology differs from that of the model {model_path}", where=lang_path, remedy=remedy)

"""The stages of `asrkit train-g2p` and `asrkit g2p`: learn pronouncing from a lexicon, and pronounce."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from asrkit.core.errors import ConfigError, DataError, FormatError
from asrkit.core.progress import Progress, silent
from asrkit.core.streams import random_stream
from asrkit.lang.g2p import G2p, G2pConfig, gather_words, train_g2p
from asrkit.lang.lexicon import Pronunciation, read_lexicon
from asrkit.score.counts import ErrorCounts
from asrkit.score.edits import Edit, TokenCodes, edit_operations
from asrkit.stages.record import Failure, RunOptions, StageReport, StageResult, check_failures, run_stage

log = logging.getLogger("asrkit")

Words = Mapping[str, Sequence[tuple[str, ...]]]


@dataclass(frozen=True)
class _Record(G2pConfig):
    """The configuration and the rest of what decides the model, for the stage's record."""

    held_out: float = 0.0


def train_g2p_model(
    lexicon: Path,
    out: Path,
    config: G2pConfig,
    options: RunOptions,
    held_out: float = 0.05,
    test: Path | None = None,
) -> StageReport:
    """Train a G2P model and measure it on words that it did not see.

    Parameters
    ----------
    lexicon, test : Path
        Lexicons. With ``test`` the model is measured on its words; those that the training lexicon holds too
        are left out of the training.
    out : Path
        The model, one safetensors file.
    held_out : float
        Without ``test``: this fraction of the words, drawn by the seed, is kept from the training and
        measured on; 0: all words train and nothing is measured.
    """
    if not 0 <= held_out < 1:
        raise ConfigError(f"the fraction of held-out words is {held_out:g}, expected at least 0 and less than 1")
    for path in (lexicon, test):
        if path is not None and not path.is_file():  # said before the work, not at its end
            raise FormatError("no such file", where=path)

    def body() -> StageResult:
        words: Words = _read_words(lexicon, config)
        if test is None:
            words, unseen = split_words(words, held_out, options.seed)
        else:
            unseen = _read_words(test, config)
            words = {word: said for word, said in words.items() if word not in unseen}
        g2p, training = train_g2p(words, config, options.progress)
        failures = tuple(
            Failure(word, f"{len(phones)} phones are too many for its letters: {' '.join(phones)}")
            for word, phones in training.unaligned
        )
        check_failures(failures, training.num_pronunciations + len(failures), options, lexicon)
        figures: dict[str, object] = {
            "words": len(words),
            "pronunciations": training.num_pronunciations,
            "letters": len(g2p.letters),
            "phones": len(g2p.phones),
            "graphones": len(g2p.graphones),
            "ngrams": sum(training.num_ngrams),
            "alignment_loglike": training.loglikes[-1],
        }
        if unseen:
            figures.update(_measure(g2p, unseen, options.progress))
        g2p.save(out)
        return StageResult(figures, failures)

    inputs = [lexicon, *([test] if test is not None else [])]
    record = _Record(**vars(config), held_out=0.0 if test is not None else held_out)
    return run_stage(f"train-g2p {out.name}", out.parent, inputs, record, [out], options, body)


def split_words(words: Words, fraction: float, seed: int) -> tuple[Words, Words]:
    """Return the words to train on and those held out; a word is in one of them with all its pronunciations.

    At least one word is held out unless ``fraction`` is 0, and at least one trains.
    """
    names = sorted(words)
    num = min(max(round(fraction * len(names)), 1), len(names) - 1) if fraction > 0 else 0
    drawn = random_stream(seed, "g2p held-out").permutation(len(names))[:num].tolist()
    unseen = {names[i] for i in drawn}
    return (
        {word: said for word, said in words.items() if word not in unseen},
        {word: said for word, said in words.items() if word in unseen},
    )


def count_errors(g2p: G2p, words: Words, progress: Progress = silent) -> ErrorCounts:
    """Compare the best pronunciation of each word with the nearest of its references.

    A word that cannot be pronounced counts as deletions of all phones. The nearest reference is the one with the
    lowest error rate, of equal ones the first. In the counts tokens are phones, sentences are words.
    """
    counts = ErrorCounts.zero()
    for word, references in progress(words.items(), total=len(words), label="held-out words"):
        try:
            guess = g2p.pronounce(word)[0][0]
        except DataError as error:
            log.debug("%s", error)
            guess = ()
        codes = TokenCodes()
        hypothesis = codes.encode(guess)
        compared = [(edit_operations(codes.encode(phones), hypothesis), len(phones)) for phones in references]
        edits, length = min(compared, key=lambda pair: len(pair[0]) / pair[1])
        counts += _counts(edits, length)
    return counts


def pronounce_words(
    model: Path, words: Iterable[str], num: int = 1, skip_unknown: bool = False
) -> tuple[list[Pronunciation], list[Failure]]:
    """Return lexicon entries for words, ``num`` at most for each, each word once and in order.

    Parameters
    ----------
    skip_unknown : bool
        Words that cannot be pronounced become failures; otherwise they are a :class:`DataError`.
    """
    g2p = G2p.load(model)
    entries: list[Pronunciation] = []
    failures: list[Failure] = []
    for word in dict.fromkeys(words):
        try:
            entries += g2p.entries(word, num)
        except DataError as error:
            if not skip_unknown:
                raise
            failures.append(Failure.of(word, error))
    return entries, failures


def _read_words(path: Path, config: G2pConfig) -> dict[str, tuple[tuple[str, ...], ...]]:
    words = gather_words(read_lexicon(path), config)
    if not words:
        raise DataError("the lexicon holds no word with letters", where=path, remedy="expected 'WORD PHONE PHONE …'")
    return words


def _measure(g2p: G2p, unseen: Words, progress: Progress) -> dict[str, object]:
    started = time.monotonic()
    counts = count_errors(g2p, unseen, progress)
    seconds = time.monotonic() - started
    log.info("%d held-out words in %.1f s, %.0f a second", len(unseen), seconds, len(unseen) / max(seconds, 1e-9))
    return {
        "held_out_words": counts.sentences,
        "held_out_phones": counts.reference_tokens,
        "phone_error_percent": 100 * counts.error_rate,
        "word_error_percent": 100 * counts.sentence_error_rate,
    }


def _counts(edits: Sequence[Edit], length: int) -> ErrorCounts:
    kinds = [kind for kind, _, _ in edits]
    return ErrorCounts(
        kinds.count("insert"), kinds.count("delete"), kinds.count("replace"), length, 1, int(bool(kinds))
    )

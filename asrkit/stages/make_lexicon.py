"""`asrkit make-lexicon`: the pronunciations of a list of words, from a dictionary and, where it has none, by G2P."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from asrkit.core.errors import DataError
from asrkit.core.files import write_lines
from asrkit.lang.g2p import G2p, G2pConfig, gather_words, spell
from asrkit.lang.lexicon import read_lexicon
from asrkit.lm.text import read_word_list
from asrkit.stages.record import Failure, RunOptions, StageReport, StageResult, check_failures, run_stage


@dataclass(frozen=True)
class MakeLexiconConfig:
    """How the pronunciations of a word are found.

    Attributes
    ----------
    fold_case : bool
        Look words up in small letters; the lexicon keeps the form of the list.
    strip_stress : bool
        Take the numbers off the dictionary's phones: AH0 becomes AH.
    nbest : int
        Pronunciations of a word by G2P.
    """

    fold_case: bool = True
    strip_stress: bool = False
    nbest: int = 1


def make_lexicon(
    words: Path, dictionary: Path, out: Path, config: MakeLexiconConfig, options: RunOptions, g2p: Path | None = None
) -> StageReport:
    """Write a lexicon of the words of a list.

    Parameters
    ----------
    words : Path
        Word list: the first field of each line.
    dictionary : Path
        Any lexicon, cmudict as published included (``word(2)``, ``# comment``).
    g2p : Path, optional
        Model of `asrkit train-g2p`, for words that the dictionary lacks; its phones must be the dictionary's.

    Raises
    ------
    DataError, FormatError
        An input is absent or damaged, or the G2P model has phones that the dictionary does not.
    TooManyFailedError
        More words than the options allow have no pronunciation.
    """
    inputs = [words, dictionary, *([] if g2p is None else [g2p])]

    def body() -> StageResult:
        known = gather_words(
            read_lexicon(dictionary), G2pConfig(fold_case=config.fold_case, strip_stress=config.strip_stress)
        )
        model = None if g2p is None else _model(g2p, known, dictionary)
        wanted = sorted(read_word_list(words))
        lines: list[str] = []
        failures: list[Failure] = []
        num_known = 0
        for word in options.progress(wanted, total=len(wanted), label="pronunciations"):
            said = known.get("".join(spell(word, config.fold_case)), ())
            num_known += bool(said)
            try:
                said = said or _guess(word, model, config.nbest, dictionary)
            except DataError as error:
                failures.append(Failure.of(word, error))
            lines += [f"{word} {' '.join(phones)}" for phones in said]
        check_failures(failures, len(wanted), options, words)
        write_lines(out, lines)
        figures = {"words": len(wanted) - len(failures), "pronunciations": len(lines)}
        figures["by_g2p"] = figures["words"] - num_known
        return StageResult(figures, tuple(failures))

    stage = f"make-lexicon {out.name}"
    return run_stage(stage, out.parent, inputs, config, [out], options, body, uses_seed=False)


def _guess(word: str, model: G2p | None, nbest: int, dictionary: Path) -> tuple[tuple[str, ...], ...]:
    if model is None:
        raise DataError(f"not in {dictionary.name}", remedy="--g2p MODEL pronounces such words")
    return tuple(phones for phones, _ in model.pronounce(word, nbest))


def _model(path: Path, known: dict[str, tuple[tuple[str, ...], ...]], dictionary: Path) -> G2p:
    model = G2p.load(path)
    phones = {phone for said in known.values() for one in said for phone in one}
    foreign = sorted(set(model.phones) - phones)
    if foreign:
        raise DataError(
            f"the G2P model has phones that {dictionary} lacks: {', '.join(foreign[:10])}",
            where=path,
            remedy="train it on this dictionary, with --strip-stress as here",
        )
    return model

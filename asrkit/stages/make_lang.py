"""The stage of `asrkit make-lang`: from a lexicon to a lang directory."""

from __future__ import annotations

from pathlib import Path

from asrkit.core.errors import GraphError
from asrkit.core.files import whole_file
from asrkit.graph.fst import FstArrays, to_openfst
from asrkit.graph.lexicon_fst import lexicon_fst
from asrkit.lang.langdir import Lang, LangConfig, make_lang, read_phone_list
from asrkit.lang.lexicon import read_lexicon
from asrkit.stages.record import RunOptions, StageReport, StageResult, run_stage

OUTPUTS = ("words.txt", "phones.txt", "lexicon.txt", "topology.json", "L.fst", "L_disambig.fst", "lang.json")


def make_lang_dir(lexicon: Path, out: Path, config: LangConfig, options: RunOptions) -> StageReport:
    """Make a lang directory from a lexicon.

    Parameters
    ----------
    lexicon : Path
        ``WORD PHONE …`` or ``WORD PROBABILITY PHONE …`` a line, plain or gzip.
    out : Path
        The lang directory; ``lang.json`` is written last.

    Raises
    ------
    FormatError, ConfigError
        The lexicon, the list of phones, the topology or the configuration is wrong.
    """
    inputs = [lexicon, *(Path(name) for name in (config.topology, config.phones) if name is not None)]

    def body() -> StageResult:
        allowed = None
        if config.phones is not None:
            allowed = read_phone_list(config.phones) | set(config.silence_phones)
        lang = make_lang(read_lexicon(lexicon, config.pronunciation_probabilities, allowed), config)
        write_lang_dir(lang, out)
        return StageResult(_figures(lang))

    return run_stage("make-lang", out, inputs, config, [out / name for name in OUTPUTS], options, body, uses_seed=False)


def write_lang_dir(lang: Lang, out: Path) -> None:
    """Write a lang directory, its transducers first."""
    for name, disambiguated in (("L.fst", False), ("L_disambig.fst", True)):
        _write_vector_fst(out / name, lexicon_fst(lang, disambiguated))
    lang.save(out)


def _write_vector_fst(path: Path, fst: FstArrays) -> None:
    """Write OpenFst's ``vector`` type, the one that Kaldi's programs read everywhere."""
    with whole_file(path) as part:
        if not to_openfst(fst).write(str(part)):
            raise GraphError("OpenFst could not write it", where=path, remedy="is there room on the disk?")


def _figures(lang: Lang) -> dict[str, object]:
    spoken = lang.entries_of_word
    return {
        "words": len(spoken),
        "pronunciations": len(lang.lexicon),
        "silence_phones": len(lang.inventory.silence),
        "speech_phones": len(lang.inventory.nonsilence),
        "disambiguation_symbols": len(lang.inventory.disambiguation),
    }

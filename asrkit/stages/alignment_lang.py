"""The words and pronunciations of an alignment: those of a model, of another lang directory, and more of them."""

from __future__ import annotations

from pathlib import Path

from asrkit.core.errors import ConfigError, ModelError
from asrkit.data.datadir import DataDir
from asrkit.lang.extension import extend_lang
from asrkit.lang.langdir import Lang
from asrkit.lang.lexicon import read_lexicon
from asrkit.stages.acoustic import AcousticModel
from asrkit.stages.aligner import AlignStageConfig
from asrkit.stages.guessed_words import GuessedWords
from asrkit.stages.unknown_words import NUM_NAMED, UnknownWords


def open_lang(model: AcousticModel, path: Path | None = None) -> Lang:
    """Open the words and pronunciations that a model was trained with, or a lang directory of the same phones.

    Raises
    ------
    ModelError
        The directory's phones are not the model's.
    """
    own = Lang.load(model.path / "lang", model.path / "topology.json")
    if path is None:
        return own
    lang = Lang.load(path)
    if lang.inventory.ids != own.inventory.ids or lang.topology != own.topology:
        missing = sorted(own.inventory.ids.keys() ^ lang.inventory.ids.keys())
        named = f": {', '.join(missing[:NUM_NAMED])}" if missing else " in their numbers or topologies"
        raise ModelError(
            f"the phones are not those of the model {model.path}; they differ{named}",
            where=path,
            remedy="take the model's own language and give new words with --lexicon",
        )
    return lang


def with_more_words(
    lang: Lang, data: DataDir, config: AlignStageConfig, lexicon_path: Path | None, g2p_path: Path | None
) -> tuple[Lang, GuessedWords | None]:
    """Return the language with the words of a lexicon and those that a G2P model pronounces; its phones stay.

    Raises
    ------
    ConfigError
        A G2P model is missing, or given to no purpose.
    DataError
        The configuration refuses words outside the lexicon, and there are some.
    FormatError, ModelError
        The lexicon or the G2P model is damaged, or has other phones.
    """
    if (config.oov == "g2p") != (g2p_path is not None):
        raise ConfigError("`--oov g2p` and `--g2p MODEL` belong together", remedy="give both, or none")
    if lexicon_path is not None:
        lang = extend_lang(lang, read_lexicon(lexicon_path), lexicon_path)
    unknown = UnknownWords.of(data, lang.known_words)
    if config.oov == "error":
        unknown.refuse(data.path / "text")
    if g2p_path is None:
        return lang, None
    guessed = GuessedWords.of(unknown, g2p_path, config.g2p_nbest)
    return guessed.extend(lang), guessed

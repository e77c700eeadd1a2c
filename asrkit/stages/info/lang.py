"""Facts of a lang directory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from asrkit.lang.langdir import Lang


def lang_facts(path: Path) -> dict[str, Any]:
    """Return words, pronunciations and phones; the topology may lie above, as in a model directory."""
    own = path / "topology.json"
    lang = Lang.load(path, own if own.exists() else path.parent / "topology.json")
    symbols, topology = lang.phones.symbols, lang.topology
    pronunciations = {p.word for p in lang.pronunciations}
    return {
        "words": len(pronunciations),
        "pronunciations": len(lang.pronunciations),
        "phones": len(lang.inventory.silence) + len(lang.inventory.nonsilence),
        "phones_without_word_position": len(lang.shared_phones),
        "silence_phones": [symbols[phone] for phone in lang.silence_phones],
        "optional_silence": None if lang.optional_silence is None else symbols[lang.optional_silence],
        "silence_probability": lang.config.silence_probability,
        "silence_probabilities_of_pronunciations": lang.trained_silence is not None,
        "position_dependent": lang.config.position_dependent,
        "hmm_states": sorted({topology.num_pdf_classes(phone) for phone in topology.phones}),
        "unknown_word": lang.config.unknown_word,
        "disambiguation_symbols": len(lang.inventory.disambiguation),
    }

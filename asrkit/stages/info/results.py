"""Facts of what was found in speech: alignments and hypotheses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from asrkit.core.archives import ArchiveReader, read_scp
from asrkit.core.files import read_json, read_lines
from asrkit.data.datadir import read_text


def alignment_facts(path: Path) -> dict[str, Any]:
    """Return how much is aligned, what failed, and in which forms the times are there."""
    alignments = ArchiveReader(path / "ali.scp")
    forms = {"ctm": "words.ctm", "json": "alignment.jsonl", "textgrid": "textgrid"}
    facts: dict[str, Any] = {
        "utterances": len(alignments),
        "frames": sum(len(one) for one in alignments.values()),
    }
    if formats := [form for form, name in forms.items() if (path / name).exists()]:
        facts["formats"] = formats
    for name, listing in (("failed_utterances", "failed.txt"), ("unknown_words", "oov.txt")):
        if (path / listing).exists():
            facts[name] = len(read_lines(path / listing))
    return facts


def decoding_facts(path: Path) -> dict[str, Any]:
    """Return how much was recognised, and the setting that `asrkit score` found best."""
    hypotheses = read_text(path / "hyp.txt")
    facts: dict[str, Any] = {
        "utterances": len(hypotheses),
        "words": sum(map(len, hypotheses.values())),
        "settings": len(list(path.glob("hyp.w*.txt"))),
    }
    if (path / "best.json").exists():
        facts["best"] = read_json(path / "best.json")
    if (path / "trans.scp").exists():
        facts["transformed_speakers"] = len(read_scp(path / "trans.scp"))
    return facts

"""Facts of a data directory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from asrkit.core.archives import read_scp
from asrkit.core.errors import AsrkitError
from asrkit.core.files import read_json
from asrkit.data.datadir import DataDir
from asrkit.features.pipeline import INPUTS_FILE
from asrkit.stages.subset import utterance_secs


def data_facts(path: Path) -> dict[str, Any]:
    """Return how much speech of whom there is, its transcripts and its features.

    Raises
    ------
    DataError, FormatError
        A table is damaged.
    """
    data = DataDir.load(path)
    transcripts = [one.words for one in data.utterances.values() if one.words is not None]
    facts: dict[str, Any] = {
        "utterances": len(data.utterances),
        "speakers": len(data.by_speaker()),
        "recordings": len(data.recordings),
        "segments": (path / "segments").exists(),
        **_length(data),
        "words": sum(map(len, transcripts)) if transcripts else None,
        "word_types": len({word for words in transcripts for word in words}) if transcripts else None,
        "features": _feature_facts(data) if (path / "feats.scp").exists() else None,
    }
    if (path / INPUTS_FILE).exists():
        facts["feature_origin"] = read_json(path / INPUTS_FILE)
    return facts


def _length(data: DataDir) -> dict[str, Any]:
    """Return the hours of speech, or why nobody knows: without features they are asked of the audio."""
    try:
        return {"hours": sum(utterance_secs(data).values()) / 3600}
    except AsrkitError as error:
        return {"hours": None, "hours_unknown": str(error)}


def _feature_facts(data: DataDir) -> dict[str, Any]:
    features = data.features()
    front_end = read_json(data.path / "frontend.json") if (data.path / "frontend.json").exists() else {}
    cmvn = data.path / "cmvn.scp"
    return {
        "utterances": len(features),
        "dim": next((int(matrix.shape[1]) for matrix in features.values()), None),
        "kind": front_end.get("kind"),
        "frame_shift_ms": front_end.get("frame_shift_ms"),
        "speakers_with_cmvn": len(read_scp(cmvn)) if cmvn.exists() else 0,
    }

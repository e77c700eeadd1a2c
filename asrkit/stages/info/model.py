"""Facts of a GMM-HMM directory: mixtures, inputs, transforms, context tree."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from asrkit.core.archives import read_scp
from asrkit.core.config import to_mapping
from asrkit.core.files import read_json
from asrkit.features.frontend import FrontEnd
from asrkit.hmm.tree import PDF_CLASS
from asrkit.hmm.tree_report import AskedQuestion, TreeReport
from asrkit.lang.langdir import Lang
from asrkit.lang.phones import WORD_POSITIONS
from asrkit.stages.acoustic import INPUTS_FILE, AcousticModel, load_acoustic_model

PLACES = {-1: "left", 0: "centre", 1: "right"}


def model_facts(path: Path) -> dict[str, Any]:
    """Return the facts of a finished model directory."""
    loaded = load_acoustic_model(path)
    model, gmms = loaded.model, loaded.model.gmms
    lang = Lang.load(path / "lang", path / "topology.json")
    sizes = np.diff(gmms.offsets)
    facts: dict[str, Any] = {
        "speaker_adaptive": model.is_speaker_adaptive,
        "pdfs": gmms.num_pdfs,
        "gaussians": gmms.num_gaussians,
        "gaussians_of_a_pdf": {"fewest": int(sizes.min()), "mean": float(sizes.mean()), "most": int(sizes.max())},
        "dim": gmms.dim,
        "transition_ids": loaded.transitions.num_transition_ids,
        "inputs": _input_facts(loaded),
        "tree": _tree_facts(loaded, lang),
    }
    if (path / INPUTS_FILE).exists():
        facts["inputs_of_another_model"] = read_json(path / INPUTS_FILE)
    for name, table in (("aligned_utterances", "ali.scp"), ("transformed_speakers", "trans.scp")):
        if (path / table).exists():
            facts[name] = len(read_scp(path / table))
    return facts


def _input_facts(loaded: AcousticModel) -> dict[str, Any]:
    """Return what stands before the mixtures: front end, pipeline, transforms."""
    front_end, transform = loaded.front_end, loaded.model.input_transform
    return {
        "features": front_end.kind,
        "feature_dim": FrontEnd(front_end).dim,
        "sample_rate_hz": front_end.sample_rate_hz,
        "frame_shift_ms": front_end.frame_shift_ms,
        "pipeline": to_mapping(loaded.pipeline),
        "lda_mllt": None if transform is None else "x".join(map(str, transform.shape)),
        "fmllr": loaded.model.is_speaker_adaptive,
    }


def _tree_facts(loaded: AcousticModel, lang: Lang) -> dict[str, Any]:
    tree = loaded.tree
    pdfs: dict[str, set[int]] = {}
    for phone, _, pdf in loaded.transitions.triples:
        pdfs.setdefault(_plain(phone, lang), set()).add(pdf)
    facts: dict[str, Any] = {
        "context_width": tree.context_width,
        "central_position": tree.central_position,
        "leaves": tree.num_pdfs,
        "leaves_per_phone": {phone: len(found) for phone, found in pdfs.items()},
    }
    report = loaded.path / "tree-report.json"
    if report.exists():
        facts |= _report_facts(TreeReport.load(report), tree.central_position, lang)
    return facts


def _report_facts(report: TreeReport, central: int, lang: Lang) -> dict[str, Any]:
    return {
        "roots": report.num_roots,
        "leaves_before_clustering": report.num_leaves_split,
        "gain_per_frame": report.gain,
        "questions_asked": {_place(position, central): number for position, number in report.num_asked.items()},
        "questions": [_question(asked, central, lang) for asked in report.questions],
    }


def _question(asked: AskedQuestion, central: int, lang: Lang) -> dict[str, Any]:
    symbols, values = lang.phones.symbols, asked.values
    state = asked.position == PDF_CLASS
    return {
        "of": _plain_names(asked.phones, lang),
        "at": _place(asked.position, central),
        "in": list(values) if state else [symbols[value] if value else "(none)" for value in values],
        "gain": asked.gain,
        "frames": asked.num_frames,
    }


def _place(position: int, central: int) -> str:
    return "state" if position == PDF_CLASS else PLACES.get(position - central, f"{position - central:+d}")


def _plain(phone: int, lang: Lang) -> str:
    """Return the symbol of a phone without its place in the word."""
    symbol = lang.phones.symbols[phone]
    return symbol[:-2] if lang.config.position_dependent and symbol[-2:] in WORD_POSITIONS else symbol


def _plain_names(phones: Iterable[int], lang: Lang) -> list[str]:
    return list(dict.fromkeys(_plain(phone, lang) for phone in phones))

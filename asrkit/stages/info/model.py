"""Facts of a model directory: mixtures or network, inputs, transforms, context tree."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from asrkit.core.archives import read_scp
from asrkit.core.files import read_json
from asrkit.features.frontend import FrontEnd
from asrkit.features.pipeline import INPUTS_FILE
from asrkit.gmm.model import GmmHmm
from asrkit.hmm.tree import PDF_CLASS
from asrkit.hmm.tree_report import AskedQuestion, TreeReport
from asrkit.lang.langdir import Lang
from asrkit.lang.phones import WORD_POSITIONS
from asrkit.stages.acoustic import AcousticModel, load_acoustic_model

NO_PHONE = "(none)"
PLACES = {-1: "left", 0: "centre", 1: "right"}


def model_facts(path: Path) -> dict[str, Any]:
    """Return the facts of a finished model directory."""
    loaded = load_acoustic_model(path)
    model = loaded.model
    lang = Lang.load(path / "lang", path / "topology.json")
    facts: dict[str, Any] = {
        "speaker_adaptive": model.is_speaker_adaptive,
        **model.sizes(),
        **(_mixture_facts(model) if isinstance(model, GmmHmm) else {"network": model.shape.described()}),
        "ctc": model.has_blank,
        "dim": model.unadapted.dim,
        "transition_ids": loaded.transitions.num_transition_ids,
        "inputs": _input_facts(loaded),
        "tree": _tree_facts(loaded, lang),
    }
    if (path / INPUTS_FILE).exists():
        facts["feature_origin"] = read_json(path / INPUTS_FILE)
    for name, table in (("aligned_utterances", "ali.scp"), ("transformed_speakers", "trans.scp")):
        if (path / table).exists():
            facts[name] = len(read_scp(path / table))
    return facts


def _mixture_facts(model: GmmHmm) -> dict[str, Any]:
    sizes = np.diff(model.gmms.offsets)
    return {"gaussians_of_a_pdf": {"fewest": int(sizes.min()), "mean": float(sizes.mean()), "most": int(sizes.max())}}


def _input_facts(loaded: AcousticModel) -> dict[str, Any]:
    """Return what stands before the mixtures: front end, pipeline, transforms."""
    front_end, pipeline, transform = loaded.front_end, loaded.pipeline, loaded.model.input_transform
    return {
        "features": front_end.kind,
        "feature_dim": FrontEnd(front_end).dim,
        "sample_rate_hz": front_end.sample_rate_hz,
        "frame_shift_ms": front_end.frame_shift_ms,
        "cmvn": pipeline.cmvn,
        "norm_vars": pipeline.norm_vars,
        "delta_order": pipeline.delta_order,
        "splice": [pipeline.splice_left, pipeline.splice_right],
        "keep_every": pipeline.keep_every,
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
    return {
        "of": _names(asked.phones, lang),
        "at": _place(asked.position, central),
        "in": list(asked.values) if asked.position == PDF_CLASS else _names(asked.values, lang),
        "gain": asked.gain,
        "frames": asked.num_frames,
    }


def _place(position: int, central: int) -> str:
    return "state" if position == PDF_CLASS else PLACES.get(position - central, f"{position - central:+d}")


def _plain(phone: int, lang: Lang) -> str:
    """Return the symbol of a phone without its place in the word."""
    symbol = lang.phones.symbols[phone]
    return symbol[:-2] if lang.config.position_dependent and symbol[-2:] in WORD_POSITIONS else symbol


def _names(phones: Iterable[int], lang: Lang) -> list[str]:
    """Return the symbols of phones; where all variants of one are among them, its own alone. 0 is no phone."""
    wanted = set(phones)
    names = [NO_PHONE] if 0 in wanted else []
    for group in lang.shared_phones:
        if wanted.issuperset(group):
            names.append(_plain(group[0], lang))
        else:
            names += [lang.phones.symbols[phone] for phone in group if phone in wanted]
    return names

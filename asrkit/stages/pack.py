"""`asrkit pack`: one file that holds a whole recogniser."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import replace
from pathlib import Path

from asrkit.core.archives import ArchiveReader
from asrkit.core.errors import DataError, GraphError
from asrkit.core.files import read_json, whole_file
from asrkit.features.cmvn import CmvnStats
from asrkit.graph.directory import load_graph_info
from asrkit.lang.g2p import G2p
from asrkit.recognizer.config import RecognizerConfig
from asrkit.score.sweep import read_best
from asrkit.stages.acoustic import LANG_FILES, model_files
from asrkit.stages.decode import GRAPH_FILES
from asrkit.stages.record import RunOptions, StageReport, StageResult, run_stage

log = logging.getLogger("asrkit")


def pack(
    model: Path,
    graph: Path,
    out: Path,
    config: RecognizerConfig,
    options: RunOptions,
    best: Path | None = None,
    lang: Path | None = None,
    language_model: Path | None = None,
    g2p: Path | None = None,
    cmvn: Path | None = None,
    licence: Path | None = None,
) -> StageReport:
    """Write a model directory, a graph directory and what belongs to them as one file.

    Parameters
    ----------
    model, graph : Path
        Directories.
    out : Path
        The model file, ``NAME.asrkit``.
    config : RecognizerConfig
        Settings that the file keeps.
    best : Path, optional
        File (or decode directory) with the LM weight and insertion penalty that `asrkit score` chose on a
        development set; they replace those of ``config``.
    lang : Path, optional
        Lang directory of the graph; by default the model's own, or the one that the graph names.
    language_model : Path, optional
        The ARPA file that the graph was built from: with it words can be added later.
    g2p : Path, optional
        Model that pronounces words.
    cmvn : Path, optional
        Data directory whose statistics start the normalisation of live audio; by default that of the training.
    licence : Path, optional
        Text of what may be done with the model.

    Raises
    ------
    ModelError, GraphError, DataError, FormatError
        Something is absent or damaged, or does not belong together.
    """
    if best is not None:
        chosen = read_best(best)
        config = replace(config, lm_weight=chosen.lm_weight, insertion_penalty=chosen.insertion_penalty)
    optional = [path for path in (language_model, g2p, licence) if path is not None]
    for path in optional:
        if not path.is_file():
            raise DataError("no such file", where=path)
    data = cmvn or _training_data(model)
    inputs = [*model_files(model), *(graph / name for name in GRAPH_FILES), *optional]
    inputs += [(lang or model / "lang") / name for name in LANG_FILES]
    inputs += [] if data is None else [data / "cmvn.scp"]

    def body() -> StageResult:
        # Numba comes with these.
        from asrkit.recognizer.model import find_lang, has_words_of, load_model_folders
        from asrkit.recognizer.package import load_package, write_package

        words = lang or find_lang(model, graph)
        if words is None or not has_words_of(words, graph):
            raise GraphError(
                "the lang directory of the graph is not known" if words is None else f"{words} has other words",
                where=graph,
                remedy="give the lang directory that the graph was made with: --lang LANG",
            )
        if language_model is not None:
            _check_language_model(graph, language_model)
        prior = None if data is None else total_stats(data)
        if prior is None:
            log.warning("no CMVN statistics of the training: live audio will begin badly normalised; give --cmvn DATA")
        text = "" if licence is None else licence.read_text("utf-8", "replace")
        # What is wrong is said of the files themselves, and an earlier model file stays until the new one is good.
        load_model_folders(model, graph, words, config, prior)
        if g2p is not None:
            G2p.load(g2p)
        with whole_file(out) as part:
            sizes = write_package(part, model, graph, words, config, prior, language_model, g2p, text)
            packed = load_package(part)
        figures: dict[str, object] = {
            "megabytes": out.stat().st_size / 1e6,
            "members": len(sizes),
            "graph_megabytes": sizes["graph/HCLG.fst"] / 1e6,
            "words": len(packed.words),
            "speaker_adaptive": packed.acoustic.is_speaker_adaptive,
            "lm_weight": config.lm_weight,
            "insertion_penalty": config.insertion_penalty,
            "cmvn_frames": 0 if prior is None else int(prior.count),
        }
        return StageResult(figures)

    report = run_stage(f"pack {out.name}", out.parent, inputs, config, [out], options, body, uses_seed=False)
    # The record lies beside the file, under its name; what was made is the file.
    return replace(report, stage="pack", out=out, lines=(*report.lines, *_unchosen(config, best)))


def _unchosen(config: RecognizerConfig, best: Path | None) -> list[str]:
    """Return a line where the LM weight is nobody's choice."""
    default = RecognizerConfig()
    if best is not None or config.lm_weight != default.lm_weight:
        return []
    return [
        f"LM weight {config.lm_weight:g} is the default, not chosen on a development set: "
        "give --from BEST, or --set lm_weight=…"
    ]


def total_stats(data: Path) -> CmvnStats:
    """Return the CMVN statistics of all speakers of a data directory together.

    Raises
    ------
    DataError
        It has none.
    """
    if not (data / "cmvn.scp").is_file():
        raise DataError("no cmvn.scp", where=data, remedy=f"run `asrkit extract {data}`")
    stats = [CmvnStats.from_matrix(matrix) for matrix in ArchiveReader(data / "cmvn.scp").values()]
    total = sum(stats[1:], stats[0]) if stats else CmvnStats.zero(1)
    if total.count < 1:
        raise DataError("CMVN statistics of no frames", where=data / "cmvn.scp")
    return total


def training_stats(model: Path) -> CmvnStats | None:
    """Return the statistics of the data that a model directory was trained on; None where they are gone."""
    data = _training_data(model)
    return None if data is None else total_stats(data)


def _training_data(model: Path) -> Path | None:
    """Return the data directory that the model's record names, if it is still there."""
    path = model / "stage.json"
    records = read_json(path) if path.is_file() else {}
    for stage, record in records.items() if isinstance(records, dict) else ():
        if stage.startswith("pack "):
            continue  # of a model file that was packed into the model directory
        for name in record.get("inputs", {}):
            if Path(name).name == "cmvn.scp" and Path(name).is_file():
                return Path(name).parent
    return None


def _check_language_model(graph: Path, path: Path) -> None:
    known = load_graph_info(graph).described.get("language_model_sha256")
    with path.open("rb") as handle:
        found = hashlib.file_digest(handle, "sha256").hexdigest()
    if known is not None and known != found:
        raise GraphError(
            f"the graph was not built from {path}, or it has changed since",
            where=graph,
            remedy="give the language model of the graph, or build the graph again",
        )

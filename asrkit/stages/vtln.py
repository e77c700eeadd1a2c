"""`asrkit vtln`: vocal tract length normalisation, a warp factor for each speaker of a data directory."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from asrkit.core.archives import read_scp
from asrkit.core.errors import DataError, ModelError
from asrkit.core.files import read_json, write_json, write_lines
from asrkit.core.jobs import map_in_order
from asrkit.data.datadir import DataDir, read_text
from asrkit.features.frontend import check_front_end, load_front_end
from asrkit.features.pipeline import INPUTS_FILE
from asrkit.lang.langdir import Lang
from asrkit.lang.silence import SILENCE_FILE
from asrkit.stages.acoustic import LANG_FILES, AcousticModel, load_acoustic_model, model_files
from asrkit.stages.record import RunOptions, StageReport, StageResult, check_failures, run_stage
from asrkit.stages.unknown_words import UnknownWords
from asrkit.stages.warp_search import SpeakerWarp, VtlnConfig, WarpSearch, speech_by_speaker

log = logging.getLogger("asrkit")

NUM_NAMED = 10
BAR_WIDTH = 40


def vtln(
    data_path: Path, model_path: Path, config: VtlnConfig, options: RunOptions, text: Path | None = None
) -> StageReport:
    """Find the warp factor of each speaker that makes its speech fit a model best (Lee and Rose 1998).

    Writes ``spk2warp``, which `asrkit extract` obeys, and ``vtln.json`` into the data directory. Features are computed
    from the audio for each factor, in memory; those of the directory are not used, so that extracting them again
    changes nothing here.

    Parameters
    ----------
    data_path : Path
        Data directory with transcripts and ``frontend.json``.
    model_path : Path
        Model directory. A speaker-adaptive model's mixtures for unadapted inputs are used.
    options : RunOptions
        The seed matters only with dither.
    text : Path, optional
        Take what was said from here (``hyp.txt`` of `asrkit decode`); utterances without a line are left out.

    Raises
    ------
    DataError, FormatError, ModelError
        An input is absent or damaged, or they do not belong together.
    TooManyFailedError
        Too many utterances could not be read or aligned. Nothing is written then.
    """
    data = DataDir.load(data_path)
    said = text or data_path / "text"
    tables = [data_path / name for name in ("wav.scp", "utt2spk", "segments", "spk2gender", "frontend.json")]
    audio = dict.fromkeys(data.audio_path(utterance) for utterance in data.utterances.values())
    model_inputs = [*model_files(model_path), *(model_path / "lang" / name for name in (*LANG_FILES, SILENCE_FILE))]
    outputs = [data_path / "spk2warp", data_path / "vtln.json"]

    def body() -> StageResult:
        model = load_acoustic_model(model_path)
        _check_features(data_path, model)
        lang = Lang.load(model_path / "lang", model_path / "topology.json")
        return _search(WarpSearch(model, lang, config, options.seed), _with_words(data, said), options)

    inputs = [*tables, said, *audio, *model_inputs]
    return run_stage("vtln", data_path, inputs, config, outputs, options, body)


def _check_features(data_path: Path, model: AcousticModel) -> None:
    front_end = load_front_end(data_path)
    check_front_end(model.front_end, front_end, data_path)
    for path in (data_path, model.path):
        if (path / INPUTS_FILE).exists() and "model_sha256" in read_json(path / INPUTS_FILE):
            raise ModelError(
                "its features are the inputs of another model, which cannot be warped",
                where=path,
                remedy="find warp factors with a model of features as extracted",
            )


def _with_words(data: DataDir, path: Path) -> DataDir:
    """Return the data with the transcripts of a file; one of an utterance that is not in it is None."""
    if not path.exists():
        raise DataError(
            "no transcripts", where=path, remedy="give hypotheses, e.g. hyp.txt of `asrkit decode`, with --text"
        )
    texts = read_text(path)
    strange = sorted(texts.keys() - data.utterances.keys())
    if strange:
        raise DataError(
            f"{len(strange)} utterances are not in {data.path}: {', '.join(strange[:NUM_NAMED])}",
            where=path,
            remedy="give the transcripts of this data directory",
        )
    utterances = {key: replace(one, words=texts.get(key)) for key, one in data.utterances.items()}
    return replace(data, utterances=utterances)


def _search(search: WarpSearch, data: DataDir, options: RunOptions) -> StageResult:
    path, speakers = data.path, speech_by_speaker(data)
    results = map_in_order(search, speakers, options.num_jobs)
    found = list(options.progress(results, total=len(speakers), label="vtln"))
    failures = [failure for one in found for failure in one.failures]
    check_failures(failures, len(failures) + sum(one.num_utterances for one in found), options, path)
    UnknownWords.of(data, search.lang.known_words).warn(path)
    for one in found:
        if one.reason is not None:
            log.warning("speaker %s keeps the warp factor 1: %s", one.speaker, one.reason)
    if (path / "utt2warp").exists():
        log.warning("%s has factors of single utterances, which win over those found here", path / "utt2warp")
    warps = search.config.warps
    write_json(path / "vtln.json", {"warps": warps, "speakers": {one.speaker: one.to_json(warps) for one in found}})
    write_lines(path / "spk2warp", (f"{one.speaker} {one.warp:g}" for one in found))
    genders = read_scp(path / "spk2gender") if (path / "spk2gender").exists() else {}
    lines = (*_distribution(found, genders), f"`asrkit extract {path}` makes features of these", "")
    return StageResult(_figures(found, warps), tuple(failures), lines)


def _figures(found: Sequence[SpeakerWarp], warps: Sequence[float]) -> dict[str, Any]:
    estimated = [one for one in found if one.reason is None]
    frames = sum(one.num_frames for one in estimated)
    unwarped = warps.index(1.0)
    gain = sum(one.num_frames * (max(one.scores) - one.scores[unwarped]) for one in estimated)
    return {
        "speakers": len(found),
        "not_estimated": len(found) - len(estimated),
        "at_the_edge": sum(one.warp in (warps[0], warps[-1]) for one in estimated),
        "mean_warp": round(sum(one.warp for one in found) / len(found), 4),
        "gain_per_frame": round(gain / max(frames, 1), 4),
        "utterances": sum(one.num_utterances for one in found),
        "frames": frames,
    }


def _distribution(found: Sequence[SpeakerWarp], genders: Mapping[str, str]) -> Iterator[str]:
    """Yield a histogram of the factors, by gender where that is known."""
    groups = sorted(set(genders.values())) if genders else []
    counts = Counter(one.warp for one in found)
    by_group = Counter((one.warp, genders.get(one.speaker)) for one in found)
    yield "".join([" warp  speakers", *(f"{group:>5}" for group in groups)])
    widest = max(counts.values())
    for warp, number in sorted(counts.items()):
        columns = "".join(f"{by_group[warp, group]:5d}" for group in groups)
        yield f"{warp:5.2f}  {number:8d}{columns}  {'#' * -(-number * BAR_WIDTH // max(widest, BAR_WIDTH))}"
    for group in groups:
        own = [one.warp for one in found if genders.get(one.speaker) == group]
        if own:
            yield f"mean of {group}: {sum(own) / len(own):.3f}"

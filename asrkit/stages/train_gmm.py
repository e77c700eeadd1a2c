"""`asrkit train-gmm`: from features, transcripts and a lang directory to a GMM-HMM."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path

from asrkit.core.archives import ArchiveWriter
from asrkit.core.errors import DataError
from asrkit.core.files import write_json
from asrkit.core.progress import Progress
from asrkit.data.datadir import DataDir
from asrkit.features.frontend import load_front_end
from asrkit.features.pipeline import ModelInputs, PipelineConfig
from asrkit.gmm.em import EmConfig, EmState, em_iterations, flat_start_state, report_rows
from asrkit.gmm.training import TrainingData
from asrkit.graph.training import TrainingGraphCompiler
from asrkit.hmm.state_graph import StateGraph
from asrkit.hmm.transitions import TransitionModel
from asrkit.hmm.tree import monophone_tree
from asrkit.lang.langdir import Lang
from asrkit.stages.acoustic import data_files, model_files, save_model_folder
from asrkit.stages.checkpoint import Checkpoint, training_key
from asrkit.stages.record import Failure, RunOptions, StageReport, StageResult, check_failures, run_stage

log = logging.getLogger("asrkit")

INPUT_CACHE_BYTES = 1 << 29
"""Model inputs kept in memory between iterations (512 MB: an hour of speech takes 56 MB)."""


@dataclass(frozen=True)
class MonoConfig:
    """Configuration of `asrkit train-gmm mono`: the model's input, and the training schedule.

    Attributes
    ----------
    shortest : int
        Train on this many of the shortest utterances alone; 0 is all of them.
    """

    shortest: int = 0
    pipeline: PipelineConfig = field(default_factory=PipelineConfig)
    em: EmConfig = field(default_factory=EmConfig)


def train_mono(data_path: Path, lang_path: Path, out: Path, config: MonoConfig, options: RunOptions) -> StageReport:
    """Train a monophone GMM-HMM from a flat start.

    Parameters
    ----------
    data_path : Path
        Data directory with features and transcripts.
    lang_path : Path
        Lang directory whose lexicon has the words of the transcripts.
    out : Path
        Model directory to be made: the model, its front end and symbol tables, and the alignments ``ali.scp``.
    """
    inputs = [*data_files(data_path), *(lang_path / name for name in ("lexicon.txt", "lang.json", "topology.json"))]

    def body() -> StageResult:
        return _train_mono(data_path, lang_path, out, config, options, inputs)

    return run_stage("train-gmm mono", out, inputs, config, [*model_files(out), out / "ali.scp"], options, body)


def _train_mono(
    data_path: Path, lang_path: Path, out: Path, config: MonoConfig, options: RunOptions, inputs: list[Path]
) -> StageResult:
    data_dir, lang = DataDir.load(data_path), Lang.load(lang_path)
    features = ModelInputs(data_dir, config.pipeline, INPUT_CACHE_BYTES)
    tree = monophone_tree(lang.topology, lang.shared_phones)
    transitions = TransitionModel.from_tree(tree, lang.topology)
    keys, failures = usable_utterances(data_dir, features)
    if config.shortest:
        keys = sorted(sorted(keys, key=lambda key: (features.num_frames(key), key))[: config.shortest])
    compiler = TrainingGraphCompiler(lang, tree, transitions)
    graphs = training_graphs(data_dir, lang, compiler, keys, options.progress)
    data = TrainingData(tuple(keys), features, graphs)
    checkpoint = Checkpoint(out, training_key(config, options.seed, inputs))
    state = checkpoint.load()
    if state is None:
        state = flat_start_state(tree, transitions, data, options.seed)
    else:
        log.info("going on after iteration %d of %d", state.iteration, config.em.num_iters)
    state = run_em(state, data, lang, config.em, options, checkpoint)
    failures += [Failure(key, reason) for key, reason in sorted(state.failures.items())]
    check_failures(failures, len(data_dir.utterances), options, data_path)
    save_training(state, out, data_path, lang_path, config.pipeline)
    checkpoint.clear()
    return StageResult(figures_of(state, failures), tuple(failures))


def usable_utterances(data_dir: DataDir, features: ModelInputs) -> tuple[list[str], list[Failure]]:
    """Return the utterances that have features and a transcript, and the others with the reason.

    Raises
    ------
    DataError
        The data directory has no transcripts.
    """
    keys: list[str] = []
    failures: list[Failure] = []
    for key, utterance in data_dir.utterances.items():
        if utterance.words is None:
            raise DataError("no transcripts", where=data_dir.path / "text", remedy="training needs the file `text`")
        if key not in features:
            failures.append(Failure(key, "no features (see the report of `asrkit extract`)"))
        elif not utterance.words:
            failures.append(Failure(key, "empty transcript"))
        else:
            keys.append(key)
    return keys, failures


def training_graphs(
    data_dir: DataDir, lang: Lang, compiler: TrainingGraphCompiler, keys: list[str], progress: Progress
) -> dict[str, StateGraph]:
    """Compile the graph of each transcript; words outside the lexicon become the unknown word, and are counted."""
    graphs: dict[str, StateGraph] = {}
    num_unknown = num_words = 0
    for key in progress(keys, total=len(keys), label="training graphs"):
        words = data_dir.utterances[key].words or ()
        ids, unknown = lang.transcript_ids(words)
        graphs[key] = compiler.compile(ids)
        num_unknown += unknown
        num_words += len(words)
    if num_unknown:
        log.warning("%d of %d words of %s are not in the lexicon", num_unknown, num_words, data_dir.path / "text")
    return graphs


def run_em(
    state: EmState, data: TrainingData, lang: Lang, config: EmConfig, options: RunOptions, checkpoint: Checkpoint
) -> EmState:
    """Run the remaining iterations, saving a checkpoint after each."""
    rounds = em_iterations(state, data, lang.silence_phones, config, options.seed, options.num_jobs)
    newest = state
    for newest in options.progress(rounds, total=config.num_iters - state.iteration, label="EM iterations"):
        checkpoint.save(newest)
    return newest


def save_training(state: EmState, out: Path, data_path: Path, lang_path: Path, pipeline: PipelineConfig) -> None:
    """Write the model directory, the last alignments and the figures of every iteration."""
    with ArchiveWriter(out, "ali") as writer:
        for key, alignment in sorted(state.alignments.items()):
            writer.write(key, alignment)
    write_json(out / "iterations.json", report_rows(state.reports))
    save_model_folder(out, load_front_end(data_path), pipeline, lang_path, state.model)


def figures_of(state: EmState, failures: list[Failure]) -> dict[str, object]:
    """Return what the report of a training says."""
    last = state.reports[-1]
    return {
        "num_pdfs": state.model.gmms.num_pdfs,
        "num_gaussians": state.model.gmms.num_gaussians,
        "loglike_per_frame": round(last.loglike_per_frame, 4),
        "num_frames": last.num_frames,
        "retried": sum(report.retried for report in state.reports),
        "failed": len(failures),
    }

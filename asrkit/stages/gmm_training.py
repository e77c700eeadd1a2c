"""What all trainings of GMM-HMMs share: opening the data, graphs, iterations with checkpoints, the model directory."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path

from asrkit.core.archives import ArchiveWriter
from asrkit.core.errors import DataError
from asrkit.core.files import write_json
from asrkit.core.progress import Progress
from asrkit.data.datadir import DataDir
from asrkit.features.frontend import load_front_end
from asrkit.features.pipeline import ModelInputs, PipelineConfig, check_every_frame
from asrkit.gmm.em import EmConfig, EmState, em_iterations, report_rows
from asrkit.gmm.training import TrainingData, viterbi_pass
from asrkit.graph.training import TrainingGraphCompiler
from asrkit.hmm.state_graph import StateGraph
from asrkit.hmm.transitions import TransitionModel
from asrkit.hmm.tree import ContextTree
from asrkit.lang.langdir import Lang
from asrkit.lang.silence import SILENCE_FILE
from asrkit.stages.acoustic import LANG_FILES, data_files, model_files, save_model_folder
from asrkit.stages.checkpoint import Checkpoint
from asrkit.stages.record import Failure, RunOptions, StageResult, check_failures
from asrkit.stages.unknown_words import check_known

log = logging.getLogger("asrkit")

INPUT_CACHE_BYTES = 1 << 29
"""Model inputs kept in memory between iterations (512 MB: an hour of speech takes 56 MB)."""


@dataclass(frozen=True)
class Corpus:
    """What a training reads.

    Attributes
    ----------
    data_dir : DataDir
    lang : Lang
    features : ModelInputs
        utterance_id -> the model's input.
    keys : tuple of str
        Utterances that have features and a transcript.
    failures : tuple of Failure
        The others, with the reason.
    """

    data_dir: DataDir
    lang: Lang
    features: ModelInputs
    keys: tuple[str, ...]
    failures: tuple[Failure, ...]

    def with_features(self, features: ModelInputs) -> Corpus:
        """Return the same corpus with other inputs."""
        return replace(self, features=features)

    @property
    def num_utterances(self) -> int:
        """Number of utterances, usable or not."""
        return len(self.data_dir.utterances)


def open_corpus(data_path: Path, lang_path: Path, pipeline: PipelineConfig, options: RunOptions) -> Corpus:
    """Open data and lang directory, and find the utterances that can be trained on.

    Raises
    ------
    DataError, FormatError
        A directory is absent or damaged, or there are no transcripts.
    TooManyFailedError
        Too many utterances lack features or a transcript.
    """
    return usable_corpus(DataDir.load(data_path), Lang.load(lang_path), pipeline, options)


def usable_corpus(data_dir: DataDir, lang: Lang, pipeline: PipelineConfig, options: RunOptions) -> Corpus:
    """Find the utterances that can be trained on; the transcripts need not be those of the directory.

    Raises
    ------
    DataError, TooManyFailedError
        See :func:`open_corpus`.
    """
    check_every_frame(pipeline, "this training")
    load_front_end(data_dir.path)  # the finished model must say how its features were made
    features = ModelInputs(data_dir, pipeline, INPUT_CACHE_BYTES)
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
    check_failures(failures, len(data_dir.utterances), options, data_dir.path)
    return Corpus(data_dir, lang, features, tuple(keys), tuple(failures))


def training_data(corpus: Corpus, tree: ContextTree, transitions: TransitionModel, progress: Progress) -> TrainingData:
    """Compile the graph of each transcript; words outside the lexicon become the unknown word, and are counted.

    Raises
    ------
    DataError
        Not one word is in the lexicon.
    """
    compiler = TrainingGraphCompiler(corpus.lang, tree, transitions)
    graphs: dict[str, StateGraph] = {}
    num_unknown = num_words = 0
    for key in progress(corpus.keys, total=len(corpus.keys), label="training graphs"):
        words = corpus.data_dir.utterances[key].words or ()
        ids, unknown = corpus.lang.transcript_ids(words)
        graphs[key] = compiler.compile(ids)
        num_unknown += unknown
        num_words += len(words)
    check_known(num_unknown, num_words, corpus.data_dir.path / "text")
    return TrainingData(corpus.keys, corpus.features, graphs)


def run_em(
    state: EmState,
    data: TrainingData,
    corpus: Corpus,
    config: EmConfig,
    options: RunOptions,
    checkpoint: Checkpoint,
    stop: int | None = None,
) -> EmState:
    """Run the remaining iterations (or up to ``stop``), saving a checkpoint after each.

    The state after the last iteration has alignments, with Baum-Welch training too.

    Raises
    ------
    TooManyFailedError
        Too many utterances could not be used in an iteration.
    """
    lang = corpus.lang
    rounds = em_iterations(state, data, lang.silence_phones, config, options.seed, options.num_jobs, stop=stop)
    newest = state
    end = config.num_iters if stop is None else min(stop, config.num_iters)
    for newest in options.progress(rounds, total=max(0, end - state.iteration), label="EM iterations"):
        failed = all_failures(corpus, newest)
        check_failures(failed, corpus.num_utterances, options, corpus.data_dir.path)
        checkpoint.save(newest)
    if not newest.alignments and newest.iteration == config.num_iters:
        last = viterbi_pass(
            newest.model, data, None, config.search, config.scales, None, options.num_jobs, options.progress
        )
        newest = replace(newest, alignments=last.alignments, failures=last.failures)
    return newest


def all_failures(corpus: Corpus, state: EmState) -> tuple[Failure, ...]:
    """Return the utterances that were left out from the start, and those the last pass could not use."""
    return (*corpus.failures, *(Failure(key, reason) for key, reason in sorted(state.failures.items())))


def finish_training(
    state: EmState, corpus: Corpus, out: Path, lang_path: Path, pipeline: PipelineConfig, checkpoint: Checkpoint
) -> StageResult:
    """Write the model directory, the last alignments and the figures of every iteration; remove the checkpoint."""
    with ArchiveWriter(out, "ali") as writer:
        for key, alignment in sorted(state.alignments.items()):
            writer.write(key, alignment)
    write_json(out / "iterations.json", report_rows(state.reports))
    trained_on = corpus.data_dir.path
    save_model_folder(out, load_front_end(trained_on), pipeline, lang_path, state.model, trained_on)
    checkpoint.clear()
    last = state.reports[-1]
    figures = {
        "num_pdfs": state.model.gmms.num_pdfs,
        "num_gaussians": state.model.gmms.num_gaussians,
        "loglike_per_frame": round(last.loglike_per_frame, 4),
        "num_frames": last.num_frames,
        "retried": sum(report.retried for report in state.reports),
    }
    return StageResult(figures, all_failures(corpus, state))


def training_inputs(data_path: Path, lang_path: Path) -> list[Path]:
    """Return the files that decide the result of a training."""
    return [*data_files(data_path), *(lang_path / name for name in (*LANG_FILES, SILENCE_FILE, "topology.json"))]


def training_outputs(out: Path, data_path: Path) -> list[Path]:
    """Return the files that every training makes; ``inputs.json`` is among them where the data has it."""
    kept = [out / "lang" / name for name in LANG_FILES]
    model = [out / path.name for path in model_files(data_path)]
    return [*model, *kept, out / "ali.scp", out / "ali.ark", out / "iterations.json"]

"""`asrkit train-dnn sequence`: a network trained further by MMI, boosted MMI or sMBR over lattices."""

from __future__ import annotations

from pathlib import Path

from asrkit.hmm.transitions import TransitionModel
from asrkit.lattice.archive import LatticeReader
from asrkit.lattice.discriminative import Reference
from asrkit.nnet.sequence.lattice_criterion import LatticeCriterion
from asrkit.stages.acoustic import model_files
from asrkit.stages.denominators import Denominators, make_denominators
from asrkit.stages.gmm_training import Corpus, open_corpus, training_inputs
from asrkit.stages.held_out import HELDOUT_FILE
from asrkit.stages.record import RunOptions, StageReport, StageResult, check_apart, run_stage
from asrkit.stages.sequence_config import SequenceStageConfig
from asrkit.stages.sequence_training import SequenceRun, open_network


def train_sequence(
    data_path: Path,
    lang_path: Path,
    seed_path: Path,
    out: Path,
    config: SequenceStageConfig,
    options: RunOptions,
    lm: Path | None = None,
    denominators_path: Path | None = None,
) -> StageReport:
    """Train a network further, so that it tells what was said from what might have been said.

    Parameters
    ----------
    data_path : Path
        Data directory with the features that the network was trained on. What it held out is held out again.
    seed_path : Path
        Model directory of a network; its tree, transition probabilities, priors and normalisation stay.
    out : Path
        Model directory to be made. ``epochs.json`` has the figures of each epoch, ``ali.scp`` the alignments of the
        references by the seed.
    lm : Path, optional
        ARPA file of the competitors' language model; default the unigram of the transcripts.
    denominators_path : Path, optional
        Directory of the lattices, default ``out/denominators``; several trainings from one seed may share it.

    Raises
    ------
    DataError, FormatError, ModelError, ConfigError
        An input is absent or damaged, or they do not belong together.
    TooManyFailedError
        More utterances could not be used than the options allow.
    """
    check_apart(out, data_path, lang_path, seed_path)
    where = denominators_path or out / "denominators"
    check_apart(where, out)
    open_network(seed_path)
    scale = config.criterion.acoustic_scale
    denominators, _ = make_denominators(data_path, lang_path, seed_path, where, scale, config.denominators, options, lm)
    inputs = [
        *training_inputs(data_path, lang_path),
        *model_files(seed_path),
        seed_path / HELDOUT_FILE,
        *denominators.files,
    ]
    run = SequenceRun(data_path, lang_path, out, inputs, config, config.training, config.heldout_share, options)

    def body() -> StageResult:
        seed = open_network(seed_path)
        corpus = open_corpus(data_path, lang_path, seed.pipeline, options)
        criterion, references = _criterion(corpus, denominators, config, seed.transitions)
        alignments = {key: reference.tids for key, reference in references.items()}
        return run.train(seed, corpus, alignments, criterion, denominators.failures)

    return run_stage("train-dnn sequence", out, inputs, config, run.outputs, options, body)


def _criterion(
    corpus: Corpus, denominators: Denominators, config: SequenceStageConfig, transitions: TransitionModel
) -> tuple[LatticeCriterion, dict[str, Reference]]:
    lattices = LatticeReader(denominators.path / "lat.scp")
    references = {
        key: Reference(corpus.lang.transcript_ids(corpus.data_dir.utterances[key].words or ())[0], tids)
        for key, tids in denominators.alignments().items()
        if key in lattices
    }
    silence = corpus.lang.silence_phones
    return LatticeCriterion(lattices, references, transitions, silence, config.criterion), references

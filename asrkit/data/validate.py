"""All checks of a data directory in one pass: everything that is wrong, not only the first thing."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from asrkit.core.errors import ConfigError, DataError
from asrkit.core.progress import Progress, silent
from asrkit.data.check_audio import AudioChecks, RecordingFacts, check_audio, durations, examine_audio
from asrkit.data.check_features import FeatureChecks, check_features, read_front_end, was_resampled
from asrkit.data.check_ids import check_ids, speakers_of
from asrkit.data.check_tables import check_tables
from asrkit.data.check_text import TextChecks, Vocabulary, check_text, oov_rate
from asrkit.data.findings import Finding, ValidationReport
from asrkit.data.tables import RawDataDir


@dataclass(frozen=True)
class ValidateConfig:
    """What counts as wrong, and what ``--fix`` may do.

    Attributes
    ----------
    audio, text, features
        What counts as wrong with audio, transcripts and features.
    encoding : str or None
        What a file that is not UTF-8 is in; None to guess.
    max_missing : float
        Share of the utterances, in [0, 1], above which a derived file that lacks them (``feats.scp`` …) counts as
        older than the data; ``--fix`` then does not remove the utterances.
    max_removed : float
        ``--fix`` removes nothing when it would have to remove a larger share of the utterances than this.
    """

    audio: AudioChecks = field(default_factory=AudioChecks)
    text: TextChecks = field(default_factory=TextChecks)
    features: FeatureChecks = field(default_factory=FeatureChecks)
    encoding: str | None = None
    max_missing: float = 0.1
    max_removed: float = 0.5

    def __post_init__(self) -> None:
        for name in ("max_missing", "max_removed"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} is {getattr(self, name):g}, expected a share in [0, 1]")


def validate(
    path: Path | str,
    config: ValidateConfig | None = None,
    vocabulary: Vocabulary | None = None,
    read_samples: bool = True,
    num_jobs: int = 1,
    progress: Progress = silent,
) -> ValidationReport:
    """Check a data directory.

    Parameters
    ----------
    path : Path
        The directory.
    vocabulary : Vocabulary, optional
        Words outside it are found.
    read_samples : bool
        Whether to read the samples of every utterance (clipping, silence, cut-off FLAC) or the headers alone.
    num_jobs : int
        Threads that read audio.

    Raises
    ------
    DataError
        There is no such directory; all else that is wrong is in the report.
    """
    config = config or ValidateConfig()
    data = read_data(path, config)
    facts = examine_audio(data, audio_checks(data.path, config), read_samples, num_jobs, progress)
    return judge(data, facts, config, vocabulary)


def read_data(path: Path | str, config: ValidateConfig) -> RawDataDir:
    """Read the tables of a directory as they are; a DataError when it is none."""
    path = Path(path)
    if not path.is_dir():
        raise DataError("no such data directory", where=path, remedy="make one with `asrkit prepare`")
    data = RawDataDir.read(path, config.encoding)
    if not data.tables:
        raise DataError(
            "none of the files of a data directory (wav.scp, utt2spk, text …) is here",
            where=path,
            remedy="name the folder that holds them; make one with `asrkit prepare`",
        )
    return data


def audio_checks(path: Path, config: ValidateConfig) -> AudioChecks:
    """Return the checks of audio; where no rate is configured, what `asrkit extract` recorded decides."""
    if config.audio.sample_rate_hz is not None:
        return config.audio
    if was_resampled(path):
        return replace(config.audio, any_rate=True)
    rate = read_front_end(path).get("sample_rate_hz")
    return replace(config.audio, sample_rate_hz=rate if isinstance(rate, int) else None)


def judge(
    data: RawDataDir, facts: list[RecordingFacts], config: ValidateConfig, vocabulary: Vocabulary | None = None
) -> ValidationReport:
    """Run every check over tables and audio that have been read."""
    secs = durations(facts)
    findings: list[Finding] = []
    findings += check_tables(data)
    findings += check_ids(data, config.max_missing)
    findings += check_audio(facts, audio_checks(data.path, config))
    text = data.tables.get("text")
    if text is not None:
        findings += check_text(text, config.text, vocabulary, secs)
    findings += check_features(data, config.features, secs)
    utt2spk, wavs = data.tables.get("utt2spk"), data.tables.get("wav.scp")
    return ValidationReport(
        data.path,
        tuple(findings),
        num_utterances=len({key for table in data.of_utterances() for key in table.by_key}),
        num_speakers=0 if utt2spk is None else len(speakers_of(utt2spk)),
        num_recordings=0 if wavs is None else len(wavs.by_key),
        audio_secs=sum(secs.values()),
        oov_rate=None if text is None or vocabulary is None else oov_rate(text, vocabulary),
    )

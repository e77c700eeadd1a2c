"""What can be wrong with a data directory: the list of kinds, one finding, and the report of them all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Severity = Literal["error", "warning", "note"]

_FIX = "`asrkit validate --fix` "


@dataclass(frozen=True)
class Kind:
    """One thing that can be wrong.

    Attributes
    ----------
    severity : {'error', 'warning', 'note'}
        An error makes a later stage fail or learn from wrong data; a warning often does; a note is good to know.
    title : str
        What it is, in a few words, for headings and for the table of counts.
    remedy : str
        What to do about it where the place itself suggests nothing better.
    """

    severity: Severity
    title: str
    remedy: str


KINDS: dict[str, Kind] = {
    # the files as text
    "missing-table": Kind("error", "a file of the data directory is missing", "make it, or prepare the data again"),
    "empty-table": Kind("error", "an empty file", "make it again from its source"),
    "encoding": Kind("error", "text that is not UTF-8", _FIX + "converts it; --encoding NAME says from what"),
    "byte-order-mark": Kind("error", "a byte order mark", _FIX + "removes it; save as 'UTF-8 without BOM'"),
    "line-ends": Kind("error", "line ends of Windows or old Mac", _FIX + "makes them Unix line ends"),
    "control-character": Kind("error", "control characters", "delete them; is the file text at all?"),
    "blank-line": Kind("error", "blank lines", _FIX + "removes them"),
    "white-space": Kind("error", "tabs or needless white space", _FIX + "makes it one space between fields"),
    "odd-space": Kind("warning", "no-break, wide or zero-width spaces", _FIX + "makes them spaces, or removes them"),
    "last-line": Kind("warning", "a last line without an end", "is the file cut off? if not, --fix ends the line"),
    "bad-line": Kind("error", "lines of the wrong form", "mend the line by hand"),
    "pipe": Kind(
        "error",
        "commands in place of files",
        "asrkit runs no command from a data file: run it once yourself and put the resulting file's path here",
    ),
    # ids
    "unsorted": Kind("error", "ids out of order", _FIX + "sorts the file (as `LC_ALL=C sort` does)"),
    "duplicate": Kind("error", "the same line twice", _FIX + "keeps one of them"),
    "conflict": Kind("error", "one id with two values", "decide which line is right and delete the other"),
    "missing-id": Kind("error", "ids that are not in every file", _FIX + "removes the utterance from the other files"),
    "unknown-id": Kind("error", "ids that are only in a derived file", _FIX + "removes the line"),
    "missing-recording": Kind("error", "segments of unknown recordings", _FIX + "removes these utterances"),
    "unused-recording": Kind("note", "recordings without an utterance", _FIX + "removes them from wav.scp"),
    "stale-features": Kind("error", "files made before the data changed", "run `asrkit extract` again"),
    "spk2utt": Kind("error", "spk2utt is not the inverse of utt2spk", _FIX + "makes spk2utt from utt2spk"),
    "single-utterance": Kind("note", "speakers with one utterance", "fine, but statistics per speaker will be poor"),
    "speaker-prefix": Kind(
        "note",
        "utterance ids that do not begin with their speaker",
        "asrkit does not mind; Kaldi wants them as prefix, so that all its files sort alike",
    ),
    # audio
    "missing-audio": Kind("error", "audio files that are not there", "mend the path in wav.scp, or --fix removes it"),
    "bad-audio": Kind("error", "audio that cannot be used", _FIX + "removes these utterances"),
    "same-audio": Kind("warning", "one audio file under several ids", "is one of the paths wrong?"),
    "sample-rate": Kind("error", "wrong sample rate", "`asrkit extract --resample` converts it, or sox before"),
    "channels": Kind("error", "more than one channel", "keep one channel: `sox IN OUT remix 1`"),
    "too-short": Kind("error", "utterances shorter than one frame", _FIX + "removes these utterances"),
    "bad-segment": Kind("error", "segments outside their recording", _FIX + "removes these utterances"),
    "segment-overhang": Kind("warning", "segments that end a little late", _FIX + "cuts them at the recording's end"),
    "silent": Kind("warning", "silent audio", "listen to it; a dead microphone? leave it out of training"),
    "clipping": Kind("warning", "clipped audio", "listen to it; record with less gain if you can"),
    "dc-offset": Kind("warning", "audio with a DC offset", "harmless where the front end removes DC (the default)"),
    # transcripts
    "no-text": Kind("note", "no transcripts", "such data can be recognised, not trained on or scored"),
    "empty-transcript": Kind(
        "error", "empty transcripts", "write what is said; `--set text.allow_empty=true` if nothing is said"
    ),
    "reserved-symbol": Kind("error", "words with a meaning of their own", "delete or rename them in `text`"),
    "silence-word": Kind("warning", "silence written as a word", "delete it in `text`, or put it into the lexicon"),
    "out-of-vocabulary": Kind("warning", "words outside the lexicon", "add them, or they count as unknown words"),
    "wrong-lexicon": Kind("error", "most words are outside the lexicon", "is it the lexicon of this data?"),
    "mixed-case": Kind("warning", "words in upper and in lower case", "choose one, e.g. with `tr`; keep the ids"),
    "normalisation": Kind("warning", "composed and decomposed letters", _FIX + "makes all composed (Unicode NFC)"),
    "too-much-text": Kind("warning", "transcripts too long for their audio", "is it the transcript of this audio?"),
    # features
    "bad-features": Kind("error", "features that cannot be read", "run `asrkit extract` again"),
    "feature-frames": Kind("error", "features of the wrong length", "run `asrkit extract` again"),
    "feature-dimension": Kind("error", "features of different dimensions", "run `asrkit extract` again"),
    "feature-values": Kind("error", "features that are NaN or infinite", "is the audio good? run `asrkit extract`"),
    # what --fix would not do
    "not-mended": Kind("error", "--fix stopped, to be on the safe side", "see the message"),
}


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, and where.

    Attributes
    ----------
    kind : str
        A key of ``KINDS``.
    where : str
        ``path:line`` (line 1-based), or a path.
    message : str
        What was found and what was expected.
    utterance_id : str or None
        Set where the finding is about one utterance.
    remedy : str
        What to do.
    """

    kind: str
    where: str
    message: str
    utterance_id: str | None = None
    remedy: str = ""

    def __post_init__(self) -> None:
        for name in ("where", "message", "utterance_id", "remedy"):
            value = getattr(self, name)
            if value is not None:  # a file name that is not UTF-8 must not break the printing
                object.__setattr__(self, name, value.encode("utf-8", "backslashreplace").decode("utf-8"))
        if not self.remedy:
            object.__setattr__(self, "remedy", KINDS[self.kind].remedy)

    @property
    def severity(self) -> Severity:
        """How bad it is."""
        return KINDS[self.kind].severity

    def to_json(self) -> dict[str, Any]:
        """Return the finding as one JSON-serialisable object."""
        return {
            "kind": self.kind,
            "severity": self.severity,
            "where": self.where,
            "utterance_id": self.utterance_id,
            "message": self.message,
            "remedy": self.remedy,
        }


@dataclass(frozen=True)
class ValidationReport:
    """All that was found in a data directory.

    Attributes
    ----------
    path : Path
        The directory.
    findings : tuple of Finding
        In the order of ``KINDS``, then of their places.
    num_utterances, num_speakers, num_recordings : int
        What the tables hold.
    audio_secs : float
        Length of the utterances whose audio can be opened.
    oov_rate : float or None
        Share of word tokens outside the lexicon, in [0, 1]; None without a lexicon.
    """

    path: Path
    findings: tuple[Finding, ...] = ()
    num_utterances: int = 0
    num_speakers: int = 0
    num_recordings: int = 0
    audio_secs: float = 0.0
    oov_rate: float | None = None

    def __post_init__(self) -> None:
        order = {kind: number for number, kind in enumerate(KINDS)}
        ordered = sorted(self.findings, key=lambda finding: order[finding.kind])  # stable: places keep their order
        object.__setattr__(self, "findings", tuple(ordered))

    def count(self, severity: Severity) -> int:
        """Return the number of findings of a severity."""
        return sum(finding.severity == severity for finding in self.findings)

    def kinds(self) -> set[str]:
        """Return the kinds that were found."""
        return {finding.kind for finding in self.findings}

    def of_kind(self, kind: str) -> list[Finding]:
        """Return the findings of one kind."""
        return [finding for finding in self.findings if finding.kind == kind]

    def has_failed(self, strict: bool = False) -> bool:
        """Say whether an error was found, or with ``strict`` a warning."""
        return self.count("error") > 0 or (strict and self.count("warning") > 0)

    def lines(self, show: int = 10) -> tuple[str, ...]:
        """Write the report for a reader: grouped, at most ``show`` findings a kind, then a table of counts."""
        return (*_groups(self.findings, show), *_table(self.findings))

    def to_json(self) -> dict[str, Any]:
        """Return the report as one JSON-serialisable object with every finding."""
        return {
            "num_utterances": self.num_utterances,
            "num_speakers": self.num_speakers,
            "num_recordings": self.num_recordings,
            "audio_secs": round(self.audio_secs, 3),
            "oov_rate": self.oov_rate,
            "counts": dict(Counter(finding.kind for finding in self.findings)),
            "findings": [finding.to_json() for finding in self.findings],
        }


def _groups(findings: Iterable[Finding], show: int) -> Iterator[str]:
    by_kind: dict[str, list[Finding]] = {}
    for finding in findings:
        by_kind.setdefault(finding.kind, []).append(finding)
    for kind, group in by_kind.items():
        yield f"{KINDS[kind].severity}: {KINDS[kind].title} ({len(group)}) [{kind}]"
        remedies = {finding.remedy for finding in group}
        for finding in group[:show]:
            named = finding.utterance_id is None or finding.utterance_id in finding.message
            utterance = "" if named else f"utterance {finding.utterance_id}: "
            advice = f" ({finding.remedy})" if len(remedies) > 1 else ""
            yield f"  {finding.where}: {utterance}{finding.message}{advice}"
        if len(group) > show:
            yield f"  … and {len(group) - show} more (--show N, or all with --json)"
        if len(remedies) == 1:
            yield f"  → {group[0].remedy}"
        yield ""


def _table(findings: Iterable[Finding]) -> Iterator[str]:
    counts = Counter(finding.kind for finding in findings)
    if not counts:
        return
    width = max(len(kind) for kind in counts)
    yield f"{'severity':8}  {'kind':{width}}  {'count':>6}  what"
    for severity in ("error", "warning", "note"):
        for kind, count in counts.items():
            if KINDS[kind].severity == severity:
                yield f"{severity:8}  {kind:{width}}  {count:6d}  {KINDS[kind].title}"

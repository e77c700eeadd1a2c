"""`asrkit probe`: what features tell of speakers, genders, words or phones, when little is known of these."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asrkit.core.errors import ConfigError, DataError
from asrkit.core.files import write_json
from asrkit.core.streams import random_stream
from asrkit.data.datadir import DataDir
from asrkit.gmm.discriminant import GaussianDiscriminant
from asrkit.stages.acoustic import data_files
from asrkit.stages.label_targets import SPEAKER, label_file
from asrkit.stages.probe_config import ProbeConfig
from asrkit.stages.probe_examples import PHONES, FeatureSet, Target, parse_sets, read_set, read_targets
from asrkit.stages.record import (
    Failure,
    RunOptions,
    StageReport,
    StageResult,
    check_apart,
    check_failures,
    first_of,
    run_stage,
)

log = logging.getLogger("asrkit")

ACCURACY = "probe.json"


def probe(source: str, out: Path, sets: Sequence[str], config: ProbeConfig, options: RunOptions) -> StageReport:
    """Compare sets of features of the same utterances by what a simple classifier learns from few of them.

    An utterance is one vector, statistics of its features over time (Lee, Pham, Largman and Ng 2009); a hand-labelled
    phone the means over its beginning, middle and end. The classifier is Gaussian discriminant analysis, the same for
    all sets and draws. Sets that are judged together have a classifier each, whose log posteriors are added, that of a
    set of D dimensions with a weight of D_1 / D: a dimension counts as much as one of the first of them.

    Parameters
    ----------
    source : str
        ``speaker``, ``gender``, ``word``, a file of lines ``utterance_id label``, or ``phones``, the hand labels of
        `asrkit prepare timit`. Labels are those of the first set's data directory.
    out : Path
        Directory to be made: ``probe.json`` with the accuracy of each set for each count, draw by draw.
    sets : sequence of str
        ``NAME=DATA``, or ``NAME=NAME+NAME`` of sets before it.

    Raises
    ------
    DataError, FormatError, ConfigError
        An input is absent or damaged, or there is not as much of it as is to be drawn.
    TooManyFailedError
        Too many utterances have no features in one of the sets.
    """
    folders, judged = parse_sets(sets)
    strange = sorted({*config.cmn, *config.deltas} - set(folders))
    if strange:
        raise ConfigError(f"cmn or deltas name {', '.join(strange)}, and the sets are {', '.join(folders)}")
    check_apart(out, *folders.values())
    first = next(iter(folders.values()))
    truth = first / "phones.ali" if source == PHONES else label_file(source, first)
    inputs = [truth, *(path for folder in folders.values() for path in data_files(folder, ("utt2spk",)))]

    def body() -> StageResult:
        data = DataDir.load(first)
        targets = read_targets(source, data, config)
        failures: dict[str, Failure] = {}
        found: dict[str, FeatureSet] = {}
        for name, folder in folders.items():
            found[name], without = read_set(
                name,
                folder,
                targets,
                config,
                lambda keys, name=name: options.progress(keys, total=len(keys), label=name),  # type: ignore[misc]
            )
            failures |= {one.utterance_id: one for one in without}
        check_failures(failures.values(), len(targets), options, first)
        if targets and len(failures) == len(targets):
            raise DataError(f"no utterance can be used{first_of(tuple(failures.values()))}", where=first)
        kept = {key: target for key, target in targets.items() if key not in failures}
        examples = _Examples.of(source, data, kept, config)
        table = _accuracies(examples, found, judged, config, options)
        numbers = {name: {str(count): _summary(values) for count, values in row.items()} for name, row in table.items()}
        sizes = examples.sizes()
        write_json(out / ACCURACY, {"source": source, **sizes, "accuracy": numbers})
        return StageResult({**sizes, "accuracy": numbers}, tuple(failures.values()), tuple(_lines(numbers, config)))

    described = _Choice(tuple(sets), source, config)
    return run_stage("probe", out, inputs, described, [out / ACCURACY], options, body)


@dataclass(frozen=True)
class _Choice:
    """All that decides the result beside the files, for the record."""

    sets: tuple[str, ...]
    source: str
    probe: ProbeConfig


@dataclass(frozen=True)
class _Split:
    """Utterances to train on and to test on."""

    training: list[str]
    testing: list[str]


@dataclass(frozen=True)
class _Examples:
    """Utterances, what is to be told of them, and who speaks.

    Attributes
    ----------
    source : str
    classes : mapping of str to (n,) int64
        Utterance -> class of each of its examples, 0-based.
    labels : tuple of str
        Of the classes.
    speakers : mapping of str to str
    """

    source: str
    classes: Mapping[str, NDArray[np.int64]]
    labels: tuple[str, ...]
    speakers: Mapping[str, str]

    @classmethod
    def of(cls, source: str, data: DataDir, targets: Mapping[str, Target], config: ProbeConfig) -> _Examples:
        if source == SPEAKER:
            targets = _frequent(targets, max(config.counts), data.path)
        labels = tuple(sorted({label for target in targets.values() for label in target.labels}))
        if len(labels) < 2:
            raise DataError(f"{len(labels)} different labels, expected two or more", where=data.path)
        place = {label: number for number, label in enumerate(labels)}
        classes = {
            key: np.array([place[label] for label in target.labels], dtype=np.int64)
            for key, target in sorted(targets.items())
        }
        return cls(source, classes, labels, {key: data.utterances[key].speaker for key in classes})

    def sizes(self) -> dict[str, int]:
        return {
            "utterances": len(self.classes),
            "examples": sum(map(len, self.classes.values())),
            "labels": len(self.labels),
            "speakers": len(set(self.speakers.values())),
        }

    def split(self, count: int, draw: int, config: ProbeConfig, seed: int) -> _Split:
        """Draw utterances to train on, and those to test on."""
        stream = random_stream(seed, "probe", f"{count} {draw}")
        if self.source == SPEAKER:
            training = self._of_each(list(self.classes), count, stream)
            chosen = set(training)
            return _Split(training, [key for key in self.classes if key not in chosen])
        speakers = sorted(set(self.speakers.values()))
        order = [speakers[number] for number in stream.permutation(len(speakers)).tolist()]
        num_tested = min(max(1, round(config.test_share * len(speakers))), len(speakers) - 1)
        tested = set(order[:num_tested])
        testing = [key for key in self.classes if self.speakers[key] in tested]
        others = [key for key in self.classes if self.speakers[key] not in tested]
        if self.source == PHONES:
            if len(others) < count:
                raise DataError(f"{len(others)} utterances of {len(speakers) - num_tested} speakers to draw {count} of")
            return _Split([others[number] for number in stream.permutation(len(others))[:count].tolist()], testing)
        return _Split(self._of_each(others, count, stream), testing)

    def _of_each(self, keys: list[str], count: int, stream: np.random.Generator) -> list[str]:
        """Draw so many utterances of each label."""
        chosen: list[str] = []
        for number, label in enumerate(self.labels):
            own = [key for key in keys if self.classes[key][0] == number]
            if len(own) < count:
                raise DataError(
                    f"{len(own)} utterances of {label!r} to draw {count} of",
                    remedy="--set counts to fewer, or test_share",
                )
            chosen += [own[place] for place in stream.permutation(len(own))[:count].tolist()]
        return chosen

    def of_keys(self, keys: Sequence[str]) -> NDArray[np.int64]:
        return np.concatenate([self.classes[key] for key in keys])


def _frequent(targets: Mapping[str, Target], count: int, where: Path) -> dict[str, Target]:
    """Leave out labels of which no utterance is left to test on, and name them."""
    numbers: dict[str, int] = {}
    for target in targets.values():
        numbers[target.labels[0]] = numbers.get(target.labels[0], 0) + 1
    few = sorted(label for label, number in numbers.items() if number <= count)
    if few:
        log.warning("%s: left out are labels with %d utterances or fewer: %s", where, count, ", ".join(few))
    return {key: target for key, target in targets.items() if target.labels[0] not in few}


def _accuracies(
    examples: _Examples,
    sets: Mapping[str, FeatureSet],
    judged: Mapping[str, tuple[str, ...]],
    config: ProbeConfig,
    options: RunOptions,
) -> dict[str, dict[int, list[float]]]:
    """Return percent of the tested examples that are named rightly: set -> count -> draws."""
    table: dict[str, dict[int, list[float]]] = {name: {count: [] for count in config.counts} for name in judged}
    work = [(count, draw) for count in config.counts for draw in range(config.draws)]
    for count, draw in options.progress(work, total=len(work), label="draws"):
        split = examples.split(count, draw, config, options.seed)
        known, classes = np.unique(examples.of_keys(split.training), return_inverse=True)
        truth = examples.of_keys(split.testing)
        scores: dict[str, tuple[int, NDArray[np.float64]]] = {}
        for name, one in sets.items():
            classifier = GaussianDiscriminant.fit(one.of(split.training), classes, config.shrinkage, config.standardise)
            scores[name] = classifier.dim, classifier.log_posteriors(one.of(split.testing))
        for name, members in judged.items():
            dim = scores[members[0]][0]
            total = sum(dim / scores[member][0] * scores[member][1] for member in members)
            named = known[np.argmax(total, axis=1)]
            table[name][count].append(100 * float(np.mean(named == truth)))
    return table


def _summary(values: list[float]) -> dict[str, Any]:
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    return {
        "mean": round(float(np.mean(values)), 2),
        "sd": round(spread, 2),
        "draws": [round(value, 2) for value in values],
    }


def _lines(numbers: Mapping[str, Mapping[str, Mapping[str, Any]]], config: ProbeConfig) -> list[str]:
    """Return a table of mean accuracies: sets downwards, counts to the right."""
    width = max(len("features"), *(len(name) for name in numbers))
    lines = [" ".join([f"{'features':<{width}}", *(f"{count:>6}" for count in config.counts)])]
    for name, row in numbers.items():
        lines.append(" ".join([f"{name:<{width}}", *(f"{row[str(count)]['mean']:>6.2f}" for count in config.counts)]))
    return lines

"""Say TIMIT's hand labels in the phones of cmudict, so that a model of another corpus can align them.

    python local/word_phones.py OUT DATA…

Whatever is said between two silences becomes one word, with the phones that the hand labels say, and a silence the word
SIL; a closure and the burst behind it are one stop. OUT receives a data directory without features, the labels so
renamed (phones.ali), and a lexicon for `asrkit make-lang`.
"""

import sys
from pathlib import Path

from asrkit.core.files import read_lines, write_lines
from asrkit.data.datadir import DataDir, Utterance

SILENCE = "SIL"
FROM = "ax ax-h ix axr ux hv dx nx el em en eng h# pau epi"
TO = f"AH AH IH ER UW HH T N L M N NG {SILENCE} {SILENCE} {SILENCE}"
RENAMED = dict(zip(FROM.split(), TO.split(), strict=True))
CLOSURES = {"bcl": "B", "dcl": "D", "gcl": "G", "pcl": "P", "tcl": "T", "kcl": "K"}
AFFRICATES = {("D", "JH"), ("T", "CH")}
CMU = """AA AE AH AO AW AY B CH D DH EH ER EY F G HH IH IY JH K L M N NG OW OY P R S SH T TH UH UW V W Y Z ZH"""

Span = tuple[float, float, str]


def merged(spans: list[Span]) -> list[Span]:
    """Rename the labels and join closures with their bursts; the glottal stop is left out, and leaves a gap."""
    found: list[Span] = []
    closed = False
    for start, end, label in spans:
        if label == "q":
            closed = False
            continue
        phone = CLOSURES.get(label) or RENAMED.get(label, label.upper())
        before = found[-1][2] if found else ""
        is_burst = closed and label not in CLOSURES and (phone == before or (before, phone) in AFFRICATES)
        if is_burst or phone == SILENCE == before:
            found[-1] = (found[-1][0], end, phone)
        else:
            found.append((start, end, phone))
        closed = label in CLOSURES
    return found


def main() -> None:
    """Write data directory, labels and lexicon."""
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    out, *folders = map(Path, sys.argv[1:])
    utterances: dict[str, Utterance] = {}
    recordings: dict[str, str] = {}
    lexicon = {SILENCE: SILENCE, **{f"one-{phone}": phone for phone in CMU.split()}}
    labels: list[str] = []
    for folder in folders:
        data = DataDir.load(folder)
        recordings |= data.recordings
        spans: dict[str, list[Span]] = {}
        for line in read_lines(folder / "phones.ali"):
            key, start, end, label = line.split()
            spans.setdefault(key, []).append((float(start), float(end), label))
        for key, utterance in data.utterances.items():
            phones = merged(spans[key])
            labels += [f"{key} {start:.7f} {end:.7f} {phone}" for start, end, phone in phones]
            words: list[str] = []
            run: list[str] = []
            for _, _, phone in [*phones, (0.0, 0.0, SILENCE)]:
                if phone != SILENCE:
                    run.append(phone)
                    continue
                if run:
                    words.append(f"{key}.{len(words)}")
                    lexicon[words[-1]] = " ".join(run)
                words.append(SILENCE)
                run = []
            utterances[key] = Utterance(key, key, utterance.speaker, tuple(words[:-1]))
    DataDir(out, dict(sorted(utterances.items())), recordings).save()
    write_lines(out / "phones.ali", sorted(labels))
    write_lines(out / "lexicon.txt", (f"{word} {phones}" for word, phones in sorted(lexicon.items())))


if __name__ == "__main__":
    main()

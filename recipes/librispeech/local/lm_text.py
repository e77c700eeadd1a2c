"""Turn books (plain text) and transcripts (LibriSpeech's *.trans.txt) into sentences like LibriSpeech's transcripts.

    python local/lm_text.py FILE... > sentences.txt

One sentence a line, in capitals, of letters and apostrophes; a sentence with digits is left out, since nothing says how
they are read. Project Gutenberg's licence, before and behind a book, is left out where its marks are found.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

START = re.compile(r"^\s*\*+ ?(START OF|END\*THE SMALL PRINT).*$", re.MULTILINE)
END = re.compile(r"^\s*(\*+ ?END OF TH(E|IS)|END OF (THE|THIS) PROJECT GUTENBERG).*$", re.MULTILINE | re.IGNORECASE)
ABBREVIATIONS = {"mr": "mister", "mrs": "missus", "dr": "doctor", "st": "saint"}


def sentences(path: Path) -> Iterator[str]:
    """Yield the sentences of a file."""
    data = path.read_bytes()
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        text = data.decode("cp1252", "replace")
    if path.name.endswith(".trans.txt"):
        yield from (line.split(maxsplit=1)[1] for line in text.splitlines() if len(line.split()) > 1)
        return
    starts = list(START.finditer(text))
    text = text[starts[-1].end() :] if starts else text
    end = END.search(text)
    text = text[: end.start()] if end else text
    text = text.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    text = re.sub(r"\b(mrs?|dr|st)\.", lambda match: ABBREVIATIONS[match[1].lower()], text, flags=re.IGNORECASE)
    yield from re.split(r"(?<=[.!?;:])[\"')\]]*\s+|\n\s*\n", text)


def clean(sentence: str) -> str:
    """Return a sentence in capitals without punctuation, empty where it has digits."""
    if re.search(r"\d", sentence):
        return ""
    words = re.findall(r"[^\W\d_]+(?:'[^\W\d_]+)*'?", sentence.upper())
    return " ".join(words)


def main() -> None:
    """Print the sentences of all files."""
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    for name in sys.argv[1:]:
        for sentence in sentences(Path(name)):
            cleaned = clean(sentence)
            if cleaned:
                print(cleaned)


if __name__ == "__main__":
    main()

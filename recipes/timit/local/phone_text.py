"""Make the phones of TIMIT's hand labels, folded to the 48 of training, the transcripts of data directories.

    python local/phone_text.py LEXICON DATA…

Rewrites DATA/text from DATA/text_phones, and writes LEXICON, in which each phone is a word.
"""

import sys
from pathlib import Path

from asrkit.core.files import write_lines
from asrkit.data.datadir import read_text, save_text
from asrkit.score.timit import FOLD_48, PHONES_48, fold_phones


def main() -> None:
    """Fold the transcripts of all directories."""
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    lexicon, *folders = map(Path, sys.argv[1:])
    for folder in folders:
        said = {key: fold_phones(phones, FOLD_48) for key, phones in read_text(folder / "text_phones").items()}
        save_text(folder / "text", said)
    write_lines(lexicon, (f"{phone} {phone}" for phone in PHONES_48))


if __name__ == "__main__":
    main()

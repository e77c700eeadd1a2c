"""asrkit: Kaldi-style speech recognition in Python, from recordings to a word error rate."""

from pathlib import Path

from asrkit.core.kernel_cache import ensure_cache_folder

__version__ = "0.1.0"

ensure_cache_folder(Path(__file__).parent)

"""asrkit: Kaldi-style speech recognition in Python, from recordings to a word error rate."""

__version__ = "0.1.0"

"""Corpora, data directories and audio: what is spoken, by whom, and where the samples are."""

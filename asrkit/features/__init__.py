"""From samples to what a model sees: frames, spectra, cepstra, deltas, splicing, normalisation; Kaldi's conventions."""

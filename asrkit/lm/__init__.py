"""Language models: n-gram counts, smoothing, ARPA files, pruning, interpolation, perplexity, grammars."""

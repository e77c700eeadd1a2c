"""Gaussian mixture models: likelihoods, statistics, updates."""

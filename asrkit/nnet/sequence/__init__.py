"""Criteria over whole utterances, and the training of networks by them."""

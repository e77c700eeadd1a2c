"""A recurrent network hears live audio: what it remembers goes on from block to block, and ends with the utterance."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import asrkit
from asrkit.core.errors import ModelError
from asrkit.nnet.acoustic import NnetHmm, RunningNnet
from asrkit.nnet.layers.config import LstmConfig
from asrkit.nnet.network import NetworkShape
from asrkit.nnet.normalisation import InputNormalisation
from asrkit.recognizer.endpoint import EndpointConfig, EndpointRule
from asrkit.recognizer.recognizer import Recognizer
from tests.recognizer.worlds import RATE, say


def with_network(packed: Path, bidirectional: bool) -> Recognizer:
    """A recogniser whose network was never trained: it is asked how it hears, not what.

    An utterance ends after half a second, whatever was heard.
    """
    model = asrkit.load(packed).model
    tree, transitions, dim = model.acoustic.tree, model.acoustic.transitions, model.acoustic.unadapted.dim
    shape = NetworkShape(LstmConfig(1, 8, bidirectional), dim, 1, tree.num_pdfs)
    normalisation = InputNormalisation(np.zeros(dim, np.float32), np.full(dim, 0.1, np.float32))
    priors = np.zeros(tree.num_pdfs, np.float32)
    network = NnetHmm(tree, transitions, shape.build(3).eval(), shape, normalisation, priors)
    always = EndpointConfig(longest=EndpointRule(False, 0.0, utterance_secs=0.5))
    return Recognizer(replace(model, acoustic=network, config=replace(model.config, endpoint=always)))


def test_blocks_of_an_utterance_hang_together_and_utterances_do_not(
    packed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: dict[RunningNnet, list[tuple[np.ndarray, np.ndarray]]] = defaultdict(list)
    plain = RunningNnet.loglikes

    def noted(self: RunningNnet, features: np.ndarray, pdf_ids: np.ndarray | None = None) -> np.ndarray:
        found = plain(self, features, pdf_ids)
        heard[self].append((features, found))
        return found

    monkeypatch.setattr(RunningNnet, "loglikes", noted)
    recognizer = with_network(packed, bidirectional=False)
    stream = recognizer.stream()
    samples = say("_ yes _ not toy _ no _")
    for start in range(0, len(samples), 700):
        stream.feed(samples[start : start + 700])
    stream.finish()
    assert len(heard) >= 2
    assert max(len(blocks) for blocks in heard.values()) >= 3
    network = recognizer.model.acoustic
    for blocks in heard.values():
        rows, scores = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
        np.testing.assert_allclose(scores, network.loglikes(rows), rtol=1e-4, atol=1e-4)


def test_a_network_of_both_directions_hears_finished_recordings_alone(packed: Path) -> None:
    recognizer = with_network(packed, bidirectional=True)
    with pytest.raises(ModelError, match="live audio needs a network that reads forwards alone"):
        recognizer.stream()
    assert recognizer(say("_ yes _ no _"), RATE) == recognizer(say("_ yes _ no _"), RATE)

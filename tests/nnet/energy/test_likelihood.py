"""The likelihood of a whole stack, against enumeration."""

from __future__ import annotations

import pytest
import torch

from asrkit.core.errors import ModelError
from asrkit.nnet.energy.config import AisConfig
from asrkit.nnet.energy.dbn import Dbn
from asrkit.nnet.energy.likelihood import model_likelihood
from asrkit.nnet.energy.partition import exact_log_partition
from tests.nnet.energy.enumeration import configurations, random_rbm

AIS = AisConfig(num_runs=200, num_steps=(100, 100, 200))


def test_of_an_rbm_it_is_the_likelihood() -> None:
    rbm = random_rbm(num_visible=6, num_hidden=4)
    v = configurations(6)[::5].float()
    found = model_likelihood([rbm.layer()], v, AIS, seed=1)
    exact_z = exact_log_partition(rbm)
    assert found["log_partition_low"] < exact_z < found["log_partition_high"]
    exact = float((-rbm.free_energy(v.double())).mean()) - exact_z
    assert found["log_likelihood"] == pytest.approx(exact, abs=abs(found["log_partition"] - exact_z) + 1e-3)


def test_of_a_network_it_is_below_the_likelihood() -> None:
    rbms = [random_rbm(num_visible=5, num_hidden=4, seed=1), random_rbm(num_visible=4, num_hidden=3, seed=2)]
    v = configurations(5)
    found = model_likelihood([rbm.layer() for rbm in rbms], v.float(), AIS, seed=1)
    dbn = Dbn.of_rbms(rbms)
    h = configurations(4)
    top = torch.log_softmax(-dbn.top.free_energy(h), 0)
    inputs = h @ dbn.lower[0].generative_weights.T + dbn.lower[0].visible_bias
    given = v @ inputs.T - torch.nn.functional.softplus(inputs).sum(1)
    exact = float(torch.logsumexp(given + top, 1).mean())
    assert exact - 5 < found["log_likelihood"] < exact


def test_rectified_units_are_refused() -> None:
    with pytest.raises(ModelError, match="relu"):
        model_likelihood([random_rbm(hidden="relu").layer()], configurations(5).float(), AIS, seed=1)

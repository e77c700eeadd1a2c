"""Where a network computes, and with how many threads."""

from __future__ import annotations

import pytest
import torch

from asrkit.core.errors import ConfigError
from asrkit.nnet.device import torch_threads


@pytest.mark.parametrize("count", [0, 100_000])
def test_an_absurd_number_of_threads_is_refused(count: int) -> None:
    before = torch.get_num_threads()
    with pytest.raises(ConfigError, match=f"threads is {count}, expected 1 to 1024"), torch_threads(count):
        pass
    assert torch.get_num_threads() == before

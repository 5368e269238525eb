from __future__ import annotations

import pytest
import torch

from msae.core.device import usable_device
from msae.core.errors import ConfigError


def test_the_cpu_is_there():
    assert usable_device("cpu") == usable_device(torch.device("cpu")) == torch.device("cpu")
    assert usable_device() == torch.device("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize("name", ["cuda:99", "tpu", "no such device", "", "meta", "cpu:x"])
def test_what_is_not_there_is_named(name):
    with pytest.raises(ConfigError, match=r"^device = '.*' is not available here \(.+\): give cpu, cuda or mps$"):
        usable_device(name)

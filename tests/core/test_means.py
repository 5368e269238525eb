from __future__ import annotations

import numpy as np
import pytest

from msae.core.means import mean, standard_error


def test_by_hand():
    assert mean([1, 2, 6]) == 3 and mean([4.5]) == 4.5
    assert standard_error([1.0, 3.0]) == pytest.approx(1)  # s.d. √2, of two values
    assert standard_error(np.full(9, 2, np.float32)) == 0


def test_too_few_values_say_nothing():
    assert mean([]) is None and mean(np.empty(0)) is None
    assert standard_error([]) is None and standard_error([1.0]) is None


def test_float32_is_added_up_in_float64():
    values = np.full(1 << 20, 0.1, np.float32)
    assert mean(values) == float(values[0])

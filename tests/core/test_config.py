from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from msae.core.config import from_dict, from_typed_dict, to_dict
from msae.core.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Inner:
    size: int
    share: float = 0.5


@dataclass(frozen=True, kw_only=True)
class Outer:
    inner: Inner
    several: tuple[Inner, ...] = ()
    by_name: Mapping[str, Inner] = field(default_factory=dict)
    pair: tuple[int, str] = (1, "a")
    words: Sequence[str] = ()
    mode: Literal["one", "two"] = "one"
    weights: Literal["equal"] | tuple[float, ...] = "equal"
    seed: int | None = None
    flag: bool = False


FULL = Outer(
    inner=Inner(size=3),
    several=(Inner(size=1, share=1), Inner(size=2)),
    by_name={"x": Inner(size=9)},
    pair=(7, "z"),
    words=("u", "v"),
    mode="two",
    weights=(1.0, 2),
    seed=5,
    flag=True,
)


def test_nested_configs_go_to_json_and_back():
    assert from_dict(Outer, to_dict(FULL)) == FULL
    assert from_dict(Outer, {"inner": {"size": 1}}) == Outer(inner=Inner(size=1))
    assert from_dict(Outer, {"inner": Inner(size=1)}) == Outer(inner=Inner(size=1))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"inner": None}, "Inner is made from an object of its fields, not from None"),
        ({"inner": [1]}, r"not from \[1\]"),
        ({"inner": {"size": 1, "shape": 2}}, "Inner has no field 'shape'"),
        ({"inner": {}}, "Inner needs a value for 'size'"),
        ({"inner": {"size": 1.5}}, "Inner.size = 1.5: expected a whole number"),
        ({"inner": {"size": True}}, "Inner.size = True: expected a whole number"),
        ({"inner": {"size": None}}, "Inner.size = None"),
        ({"inner": {"size": "3"}}, "Inner.size = '3'"),
        ({"inner": {"size": 1, "share": math.nan}}, "Inner.share = nan: expected a finite number"),
        ({"inner": {"size": 1, "share": math.inf}}, "Inner.share = inf"),
        ({"several": {"size": 1}}, "Outer.several = .*: expected a list"),
        ({"several": [{"size": "x"}]}, "Inner.size = 'x'"),
        ({"by_name": [1]}, "Outer.by_name = .*: expected an object"),
        ({"pair": [1]}, "Outer.pair = .*: expected a list of 2"),
        ({"pair": ["a", 1]}, r"Outer.pair\[0\] = 'a': expected a whole number"),
        ({"words": "uv"}, "Outer.words = 'uv': expected a list"),
        ({"mode": "three"}, r"Outer.mode = 'three': expected one of \['one', 'two'\]"),
        ({"weights": "balanced"}, r"expected one of \['equal'\], or a list"),
        ({"weights": [1.0, None]}, "expected one of"),
        ({"seed": 1.0}, "expected a whole number, or null"),
        ({"flag": 1}, "Outer.flag = 1: expected true or false"),
        ({7: 1}, "no field 7"),
    ],
)
def test_a_value_of_another_type_is_refused_by_its_field(changed, said):
    with pytest.raises(ConfigError, match=said):
        from_dict(Outer, {**to_dict(FULL), **changed})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["inner", "size", "x"]), inner),
    max_leaves=8,
)


@given(JSON, st.sampled_from(list(to_dict(FULL))))
def test_no_json_at_all_gives_another_error(value, name):
    for values in (value, {**to_dict(FULL), name: value}):
        try:
            found = from_dict(Outer, values)
        except ConfigError:
            continue
        assert isinstance(found, Outer)
    with pytest.raises(ConfigError):
        from_typed_dict({"Inner": Inner}, value)


@pytest.mark.parametrize("value", [math.nan, math.inf, object(), {1, 2}])
def test_what_json_cannot_hold_is_refused_on_writing(value):
    with pytest.raises(ConfigError, match="which JSON has no form for"):
        to_dict(Inner(size=1, share=value))

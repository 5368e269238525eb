from __future__ import annotations

import math
from dataclasses import dataclass, replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from msae.core.config import from_dict, from_typed_dict, to_dict, to_typed_dict
from msae.core.errors import ConfigError, MismatchError, MsaeError
from msae.core.files import sha256, write_atomically, write_json, write_tensors
from msae.core.rng import numpy_stream, stream_seed, torch_stream
from msae.core.spec import IDENTITY_FIELDS, SourceSpec, require_same_source
from msae.sae import ACTIVATION_FNS, NESTINGS, BatchTopK, FixedPrefixes


@dataclass(frozen=True, kw_only=True)
class Example:
    width: int
    names: tuple[str, ...] = ()


def test_a_config_goes_to_json_and_back():
    config = Example(width=3, names=("a", "b"))
    assert to_dict(config) == {"width": 3, "names": ["a", "b"]}
    assert from_dict(Example, to_dict(config)) == config


def test_unknown_and_missing_keys_are_named():
    with pytest.raises(ConfigError, match="no field 'witdh'; did you mean 'width'"):
        from_dict(Example, {"witdh": 3})
    with pytest.raises(ConfigError, match="needs a value for 'width'"):
        from_dict(Example, {"names": ["a"]})


@pytest.mark.parametrize(
    ("registry", "config"),
    [(ACTIVATION_FNS, BatchTopK(k=7)), (NESTINGS, FixedPrefixes((2, 5), level_weights=(1.0, 3.0)))],
    ids=str,
)
def test_typed_configs_go_to_json_and_back(registry, config):
    assert from_typed_dict(registry, to_typed_dict(config)) == config


def test_an_unknown_type_names_the_known_ones():
    with pytest.raises(ConfigError, match="did you mean 'BatchTopK'"):
        from_typed_dict(ACTIVATION_FNS, {"type": "BatchTopk", "k": 3})


@given(st.integers(0, 10**6), st.text(max_size=20), st.text(max_size=20))
def test_streams_differ_by_name_and_repeat_by_seed(seed, one, other):
    assert stream_seed(seed, one) == stream_seed(seed, one)
    assert (stream_seed(seed, one) == stream_seed(seed, other)) == (one == other)


def test_streams_draw_the_same_twice():
    assert torch.equal(torch.rand(5, generator=torch_stream(3, "x")), torch.rand(5, generator=torch_stream(3, "x")))
    assert (numpy_stream(3, "x").random(5) == numpy_stream(3, "x").random(5)).all()


def test_a_failed_write_leaves_what_was_there_and_nothing_else(tmp_path):
    path = tmp_path / "value.json"
    write_json(path, {"a": 1})

    def fail(temporary):
        temporary.write_text("half")
        raise OSError("no space left")

    with pytest.raises(MsaeError, match="no space left"):
        write_atomically(path, fail)
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"a": math.nan})
    assert path.read_text() == '{\n  "a": 1\n}\n'
    assert [child.name for child in tmp_path.iterdir()] == ["value.json"]


def test_tensors_are_written_in_their_logical_order(tmp_path):
    from safetensors.torch import load_file

    tensor = torch.arange(6.0).reshape(2, 3).T
    write_tensors(tmp_path / "t.safetensors", {"t": tensor})
    assert torch.equal(load_file(tmp_path / "t.safetensors")["t"], tensor)
    assert len(sha256(tmp_path / "t.safetensors")) == 64


SPEC = SourceSpec(kind="transformer_lens", model="gpt2", hook_name="blocks.8.hook_out", d_in=768, context_size=128)


@pytest.mark.parametrize("name", IDENTITY_FIELDS)
def test_every_identity_field_that_differs_is_refused_by_name(name):
    value = getattr(SPEC, name)
    changed = not value if isinstance(value, bool) else value + 1 if isinstance(value, int) else f"{value}x"
    other = replace(SPEC, **{name: changed})
    with pytest.raises(MismatchError, match=name):
        require_same_source(SPEC, other, what="a and b")
    with pytest.warns(UserWarning, match=name):
        require_same_source(SPEC, other, what="a and b", force=True)


@pytest.mark.parametrize(
    ("mine", "theirs", "named"),
    [
        ({}, {"model": "other"}, "model"),
        ({}, {"revision": "main"}, "revision"),
        ({"weights": "a", "model": "x", "revision": "1"}, {"weights": "b"}, "weights"),
        ({"weights": "a", "model": "x", "revision": "1"}, {"weights": "a"}, None),
        ({"weights": "a", "model": "x"}, {}, "model"),
        ({"revision": "sha256:1", "model": "x"}, {"revision": "sha256:1"}, None),
        ({"revision": "sha256:1"}, {"revision": "sha256:2"}, "revision"),
        ({"weights": "a", "tokenizer": "t"}, {"weights": "a", "tokenizer": "u"}, "tokenizer"),
        ({"tokenizer": "t"}, {}, None),
        ({"tokenizer": "t"}, {"tokenizer": "u"}, "tokenizer"),
    ],
)
def test_a_model_is_its_content_where_that_is_known_and_its_name_elsewhere(mine, theirs, named):
    first, second = replace(SPEC, **mine), replace(SPEC, **theirs)
    for a, b in ((first, second), (second, first)):
        assert [line.split(":")[0] for line in a.differences(b)] == ([named] if named else [])


def test_the_place_a_model_was_opened_from_is_no_part_of_its_identity():
    require_same_source(SPEC, replace(SPEC, model_path="/elsewhere"), what="a and b")
    assert SPEC.differences(replace(SPEC, model_path="/elsewhere")) == []

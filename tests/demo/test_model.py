"""The model that ships: it opens in TransformerLens without a network, and predicts as well as when it was recorded."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from transformer_lens.model_bridge import TransformerBridge

from msae import demo
from msae.core.errors import SourceError

# From no file of the corpus; written for this test.
SNIPPET = '''
class Inventory:
    """Count the items of a shop, by name."""

    def __init__(self, items=None):
        self.items = dict(items or {})

    def add(self, name, count=1):
        """Add `count` items and return how many there are now."""
        if count < 0:
            raise ValueError(f"count must not be negative, got {count}")
        self.items[name] = self.items.get(name, 0) + count
        return self.items[name]

    def remove(self, name):
        # An item that is not there is not an error.
        return self.items.pop(name, None)

    def __len__(self):
        return sum(self.items.values())
'''
SNIPPET_NATS = 2.173
"""Nats a token on the snippet, as the weights gave them when they were committed."""


@pytest.fixture(scope="module")
def bridge() -> TransformerBridge:
    return TransformerBridge.boot_transformers(str(demo.model_path()))


def test_the_loss_on_a_fixed_snippet_is_the_recorded_one(bridge: TransformerBridge) -> None:
    tokens = bridge.to_tokens(SNIPPET)
    with torch.no_grad():
        loss = bridge(tokens, return_type="loss").item()
    assert tokens[0, 0] == bridge.tokenizer.bos_token_id
    assert loss == pytest.approx(SNIPPET_NATS, abs=0.02)
    assert loss < 0.5 * math.log(4096)


def test_the_residual_stream_has_the_recorded_shape(bridge: TransformerBridge) -> None:
    tokens = bridge.to_tokens("return self.items")
    with torch.no_grad():
        _, cache = bridge.run_with_cache(tokens, names_filter="blocks.3.hook_resid_post")
    assert cache["blocks.3.hook_resid_post"].shape == (1, tokens.shape[1], 256)
    assert bridge.cfg.n_layers == 6


def test_context_matters(bridge: TransformerBridge) -> None:
    """The same tokens in another order cost far more: the model reads more than the last token."""
    tokens = bridge.to_tokens(SNIPPET)[0]
    generator = torch.Generator().manual_seed(0)
    mixed = torch.cat([tokens[:1], tokens[1:][torch.randperm(len(tokens) - 1, generator=generator)]])
    with torch.no_grad():
        loss = bridge(mixed[None], return_type="loss").item()
    assert loss > 2 * SNIPPET_NATS


def test_the_size_is_within_what_was_promised(bridge: TransformerBridge) -> None:
    assert 5e6 <= sum({p.data_ptr(): p.numel() for p in bridge.original_model.parameters()}.values()) <= 8e6
    files = sum(path.stat().st_size for path in demo.model_path().iterdir())
    assert files < 16e6


def test_a_missing_model_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "__file__", str(tmp_path / "__init__.py"))
    with pytest.raises(SourceError, match=r"config.json is missing. .* train the model with experiments"):
        demo.model_path()


def test_the_held_out_report_counts_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo.corpus, "PACKAGES", ("rich", "einops"))
    report = demo.corpus_report()
    assert report.tokens is not None and 2 < report.bytes / report.tokens < 5
    assert set(report.bytes_by_package) <= {"stdlib", "rich", "einops"}

"""What a direction says to the logits, against what the model's logits do when it is added."""

from __future__ import annotations

import pytest
import torch

from msae.activations.readout import linear_map, norm_gain
from msae.activations.transformer_lens import TransformerLensSource
from msae.core.errors import SourceError
from msae.core.rng import torch_stream
from msae.data.documents import string_documents

LAST = 3
WRITES = {"hook_out", "attn.hook_out", "attn.o.hook_out", "mlp.hook_out", "mlp.out.hook_out"}
ARRIVE = {
    "gpt2": WRITES | {"attn.o.hook_in", "mlp.out.hook_in"},
    "gpt_neox": WRITES | {"attn.o.hook_in", "mlp.out.hook_in"},
    "llama": WRITES | {"attn.o.hook_in", "mlp.out.hook_in"},
    "gemma": WRITES | {"attn.o.hook_in", "mlp.out.hook_in"},
    "gemma2": {"hook_out", "ln1_post.hook_out", "ln2_post.hook_out"},  # what attention and MLP write is normed first
}
AS_WIDE_BUT_NOT_THE_STREAM = {
    "attn.q.hook_out", "attn.hook_in", "ln1.hook_out", "ln2.hook_out", "mlp.hook_in"
}  # fmt: skip


def gained(model: torch.nn.Module) -> None:
    """Gains as far from 1 as real models have, and a last MLP so weak that attention's direct path is what shows."""
    generator = torch_stream(5, "test/gains")
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if ("norm" in name or "ln_" in name) and name.endswith("weight"):
                weight.copy_(torch.exp(0.9 * torch.randn(weight.shape, generator=generator)))
            if f".{LAST}." in name and "mlp" in name:
                weight.mul_(0.03)


@pytest.fixture(scope="module", params=ARRIVE)
def bridge(request, tiny_model, tmp_path_factory):
    """A model of each architecture whose gains differ, and its architecture."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = tmp_path_factory.mktemp("gained") / request.param
    model = AutoModelForCausalLM.from_pretrained(tiny_model(request.param))
    gained(model)
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(tiny_model(request.param)).save_pretrained(folder)
    return TransformerLensSource(folder, layer=LAST, context_size=16, device="cpu").model, request.param


def source_at(model, hook: str) -> TransformerLensSource:
    return TransformerLensSource(model, hook, context_size=16)


def batch_of(source):
    text = "the cat sat on the mat, and the dog ran after the cat until the cat was gone"
    return next(iter(source.contexts(string_documents([text] * 2))))


def correlation(source, hook: str) -> float:
    """The mean correlation of said and measured effects over a few directions at a hook."""
    batch, said = batch_of(source), source.direct_unembedding(hook)
    (x,) = source.activations(batch).values()
    directions = torch.randn(6, x.shape[-1], generator=torch_stream(0, "test/directions"))
    directions = 0.01 * x[batch.keep].norm(dim=1).mean() * torch.nn.functional.normalize(directions, dim=1)
    found = []
    with torch.no_grad():
        plain = source.logits(batch)
        for direction in directions:
            moved = source.logits(batch, {hook: lambda x, keep, by=direction: x + by})
            effect = (moved - plain)[batch.keep].mean(dim=0)
            found.append(torch.corrcoef(torch.stack([effect, direction @ said]))[0, 1])
    return float(torch.stack(found).mean())


def test_said_logits_are_what_the_model_does_wherever_there_are_any(bridge):
    model, architecture = bridge
    found = {}
    for name in sorted(ARRIVE[architecture]):
        source = source_at(model, f"blocks.{LAST}.{name}")
        found[name] = correlation(source, *source.specs)
    assert min(found.values()) > 0.97, found


def test_equal_width_is_not_equal_space(bridge):
    model, architecture = bridge
    for name in sorted(AS_WIDE_BUT_NOT_THE_STREAM):
        hook = f"blocks.{LAST}.{name}"
        source = source_at(model, hook)
        with pytest.raises(SourceError, match="does not come into the residual stream"):
            source.direct_unembedding(hook)
    if architecture == "gemma2":
        for name in ("attn.hook_out", "mlp.hook_out"):
            with pytest.raises(SourceError, match="does not come"):
                source_at(model, f"blocks.{LAST}.{name}").direct_unembedding(f"blocks.{LAST}.{name}")


def test_the_stream_by_any_name_and_at_any_depth_says_the_same(bridge):
    model, architecture = bridge
    source = source_at(model, f"blocks.{LAST}.hook_out")
    expected = source.direct_unembedding(f"blocks.{LAST}.hook_out")
    names = ["blocks.0.hook_resid_pre", "blocks.1.hook_resid_post", "blocks.1.hook_in", "ln_final.hook_in"]
    if architecture != "gpt_neox":
        names.append("blocks.1.hook_resid_mid")
    for name in names:
        assert torch.equal(source.direct_unembedding(name), expected)
    assert correlation(source_at(model, "ln_final.hook_out"), "ln_final.hook_out") > 0.999


def test_compatibility_mode_says_the_same_tokens(tiny_model):
    """Folding the gain into the unembedding changes where it stands, not what a direction says (the mean aside)."""
    settings = dict(layer=1, context_size=16, device="cpu")
    raw = TransformerLensSource(tiny_model("llama"), **settings)
    folded = TransformerLensSource(tiny_model("llama"), **settings, compatibility_mode=True)
    for hook in ("blocks.1.hook_resid_post", "blocks.1.attn.hook_z", "blocks.1.mlp.hook_post", "blocks.1.hook_mlp_out"):
        said = [source.direct_unembedding(hook) for source in (raw, folded)]
        centred = [matrix - matrix.mean(dim=1, keepdim=True) for matrix in said]
        torch.testing.assert_close(*centred, rtol=1e-3, atol=1e-4)
    with pytest.raises(SourceError, match="does not come"):
        folded.direct_unembedding("blocks.1.attn.hook_q")


def test_no_head_no_logits(tiny_bert):
    source = TransformerLensSource(tiny_bert, layer=1, context_size=16, device="cpu")
    with pytest.raises(SourceError, match="no language head"):
        source.direct_unembedding("blocks.1.hook_out")


@pytest.mark.parametrize("width", [8, 9])
def test_gains_by_hand(width):
    gain = torch.rand(width, generator=torch_stream(0, "test/gain")) + 0.5
    bias = torch.randn(width, generator=torch_stream(0, "test/bias"))
    layer, rms = torch.nn.LayerNorm(width), torch.nn.RMSNorm(width, eps=1e-6)
    with torch.no_grad():
        layer.weight.copy_(gain), layer.bias.copy_(bias), rms.weight.copy_(gain)
    for norm, centred in ((layer, True), (rms, False), (lambda x: (1 + gain) * x, False)):
        found = norm_gain(norm, torch.empty(width))
        expected = 1 + gain if not isinstance(norm, torch.nn.Module) else gain
        assert found.centred == centred
        torch.testing.assert_close(found.gain, expected, rtol=1e-4, atol=1e-5)


def test_a_linear_map_leaves_the_bias_out():
    layer = torch.nn.Linear(3, 5)
    torch.testing.assert_close(linear_map(layer, torch.empty(3)), layer.weight.T)

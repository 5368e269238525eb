"""Hooks by the names of SAELens' model: the table on four architectures, and every hook with the real sae-lens."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import msae
from msae.activations.source import ContextBatch
from msae.activations.transformer_lens import TransformerLensSource
from msae.analysis.interventions.patching import put_rows
from msae.core.hook_names import legacy_name, same_stream
from msae.core.spec import SourceSpec
from msae.sae import TopK

ROOT = Path(__file__).parents[2]
PEER = ROOT / ".venv-peers" / "sae-lens" / "bin" / "python"
SCRIPT = ROOT / "experiments" / "peers" / "sae_lens_hooks.py"

BLOCK = {
    "hook_in": "hook_resid_pre",
    "hook_out": "hook_resid_post",
    "attn.o.hook_in": "attn.hook_z",
    "mlp.out.hook_in": "mlp.hook_post",
    "mlp.hook_in": "mlp.hook_in",
}
WRITES = {
    "attn.hook_out": "hook_attn_out",
    "attn.o.hook_out": "hook_attn_out",
    "mlp.hook_out": "hook_mlp_out",
    "mlp.out.hook_out": "hook_mlp_out",
}
MID = {"ln2.hook_in": "hook_resid_mid"}
PLAIN = {"mlp.in.hook_out": "mlp.hook_pre"}
GATED = {"mlp.gate.hook_out": "mlp.hook_pre", "mlp.in.hook_out": "mlp.hook_pre_linear"}
POST_NORMED = {"ln1_post.hook_out": "hook_attn_out", "ln2_post.hook_out": "hook_mlp_out"}
TABLE = {
    "gpt2": BLOCK | WRITES | MID | PLAIN,
    "gpt_neox": BLOCK | WRITES | PLAIN,
    "llama": BLOCK | WRITES | MID | GATED,
    "gemma2": BLOCK | MID | GATED | POST_NORMED,
}
NOT_THERE = {
    "gpt2": (),
    "gpt_neox": ("ln2.hook_in",),
    "llama": (),
    "gemma2": ("attn.hook_out", "attn.o.hook_out", "mlp.hook_out", "mlp.out.hook_out"),
}
OUTSIDE = {"embed.hook_out": "hook_embed", "ln_final.hook_out": "unembed.hook_in"}


def source_at(tiny_model, architecture, names):
    return TransformerLensSource(tiny_model(architecture), hook_names=list(names), context_size=16)


def saved(spec, folder, seed=0):
    sae = msae.SparseAutoencoder(spec.d_in, 48, TopK(k=8), seed=seed)
    sae.source = spec
    return msae.save(sae.eval(), folder), sae


@pytest.mark.parametrize("architecture", TABLE)
def test_every_hook_of_the_table_is_saved_under_saelens_name(architecture, tiny_model, tmp_path):
    expected = {f"blocks.1.{name}": f"blocks.1.{theirs}" for name, theirs in TABLE[architecture].items()} | OUTSIDE
    expected |= {f"blocks.1.{name}": f"blocks.1.{name}" for name in NOT_THERE[architecture]}
    specs = source_at(tiny_model, architecture, expected).specs
    assert set(specs) == set(expected)
    for number, (name, theirs) in enumerate(expected.items()):
        path, _ = saved(specs[name], tmp_path / str(number))
        config = json.loads((path / "cfg.json").read_text())
        assert config["metadata"]["hook_name"] == theirs, name
        assert config["reshape_activations"] == ("hook_z" if theirs.endswith("attn.hook_z") else "none")
        assert msae.load(path).source == specs[name]


@pytest.mark.parametrize("architecture", TABLE)
def test_a_name_of_saelens_opens_the_hook_it_was_translated_from(architecture, tiny_model):
    """Both ways: what the table gives is a name that TransformerLens 4 resolves to the hook, or to one of its rows."""
    theirs = {f"blocks.1.{name}": f"blocks.1.{legacy}" for name, legacy in TABLE[architecture].items()}
    source = source_at(tiny_model, architecture, theirs)
    batch = next(source.contexts([msae.Document("one", "the cat sat on the mat")]))
    rows = source.activations(batch)
    by_legacy = source_at(tiny_model, architecture, sorted(set(theirs.values())))
    others = by_legacy.activations(batch)
    for name, legacy in theirs.items():
        resolved = str(by_legacy.hook_point(legacy).name)
        assert torch.allclose(rows[name].flatten(2), others[resolved].flatten(2), atol=1e-5), name


def test_without_a_model_only_names_that_are_always_right_are_given():
    assert legacy_name("blocks.7.hook_out") == "blocks.7.hook_resid_post"
    assert legacy_name("blocks.7.attn.o.hook_in") == "blocks.7.attn.hook_z"
    for name in ("blocks.7.mlp.hook_out", "blocks.7.attn.hook_out", "blocks.7.ln2.hook_in", "encoder.layer.3", "rows"):
        assert legacy_name(name) == ""
    assert legacy_name("blocks.7.mlp.hook_out", ["blocks.7.hook_mlp_out"]) == "blocks.7.hook_mlp_out"
    assert legacy_name("blocks.7.mlp.hook_out", ["blocks.6.hook_mlp_out"]) == ""


def test_specs_that_differ_by_that_name_alone_are_of_one_source():
    """Stores made before it was written down have none."""
    spec = SourceSpec(kind="transformer_lens", model="m", hook_name="blocks.1.hook_out", d_in=8)
    assert not spec.differences(replace(spec, legacy_hook_name="blocks.1.hook_resid_post"))


def test_the_stream_between_two_blocks_has_one_name():
    assert same_stream("blocks.3.hook_resid_pre") == same_stream("blocks.2.hook_resid_post")
    assert same_stream("blocks.0.hook_resid_pre") == "blocks.0.hook_resid_pre"
    assert same_stream("blocks.3.hook_mlp_out") == "blocks.3.hook_mlp_out"


# What has no such place in SAELens' model, by architecture: its metadata give TransformerLens 4's name.
LEFT_OUT = re.compile(
    r"blocks\.1\.(attn\.hook_(in|hidden_states|cos|sin)|attn\.[qkv]\.hook_in|ln[12](_post)?\.hook_(in|out)"
    r"|mlp\.(in|gate)\.hook_in|(attn|attn\.o|mlp|mlp\.out)\.hook_out)|ln_final\.hook_in|rotary_emb\.hook_(in|cos|sin)"
)
# SAELens flattens heads for z alone.
HEADS = re.compile(r"blocks\.1\.attn\.([qkv]\.hook_out|hook_rot_[qk])")
ALONE = re.compile(r".*hook_scale")
"""One number a row: nothing for an SAE."""


@pytest.mark.filterwarnings("ignore:A forward hook edited")
@pytest.mark.slow
@pytest.mark.skipif(not PEER.exists(), reason="no sae-lens here: run `make bench-peers` first")
@pytest.mark.parametrize("architecture", TABLE)
def test_saelens_runs_an_sae_of_every_hook_on_the_rows_it_was_trained_on(architecture, tiny_model, tmp_path):
    """The same rows, codes, and logits with the reconstruction in place; what is left out is listed above."""
    names = hooks_with_rows(tiny_model(architecture))
    source = source_at(tiny_model, architecture, names)
    ids = torch.randint(2, 250, (2, 12), generator=torch.Generator().manual_seed(3))
    batch = ContextBatch(
        token_ids=ids,
        document=torch.zeros_like(ids),
        offset=torch.arange(12).expand(2, -1),
        attention=torch.ones_like(ids, dtype=torch.bool),
    )
    rows, clean = source.activations(batch), source.logits(batch)
    saes = {name: saved(source.specs[name], tmp_path / "saes" / name)[1] for name in names}
    save_file({"ids": ids}, tmp_path / "ids.safetensors")
    # SAELens tells some architectures by the folder's name.
    model = shutil.copytree(tiny_model(architecture), tmp_path / "model")
    command = [PEER, SCRIPT, "--model", model, "--tokens", tmp_path / "ids.safetensors"]
    command += ["--out", tmp_path / "seen", *(tmp_path / "saes" / name for name in names)]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    used = set()
    for name, sae in saes.items():
        seen = load_file(tmp_path / "seen" / f"{name}.safetensors")
        assert torch.allclose(seen["clean"], clean, atol=1e-3)
        if "rows" not in seen:
            assert LEFT_OUT.fullmatch(name), f"{name} is left out"
            continue
        used.add(name)
        x = rows[name].flatten(2)
        assert torch.allclose(seen["rows"], x, atol=1e-3), name
        with torch.no_grad():
            codes = sae.encode_dense(x.flatten(0, 1)).view(*x.shape[:2], -1)
            logits = source.logits(batch, {name: put_rows(sae.reconstruct(x.flatten(0, 1)))})
        assert torch.allclose(seen["codes"], codes, atol=2e-3), name
        assert not torch.equal(seen["logits"], seen["clean"]), name
        assert torch.allclose(seen["logits"], logits, atol=2e-2), name
    assert used >= {f"blocks.1.{name}" for name in TABLE[architecture]} | set(OUTSIDE)


def hooks_with_rows(folder):
    """The hooks of block 1, and outside blocks, that give a row of numbers a position, heads flattened for z."""
    source = TransformerLensSource(folder, layer=1, context_size=16)
    seen = {}
    points = {id(point): point for point in source.model.hook_dict.values()}

    def see(tensor, hook):
        if tensor.is_floating_point() and tensor.ndim >= 3 and tensor.shape[:2] == (2, 7):
            seen[str(hook.name)] = tensor

    for point in points.values():
        point.add_hook(see)
    with torch.no_grad():
        source.model(torch.full((2, 7), 5))
    source.model.reset_hooks()
    found = [name for name in seen if name.startswith("blocks.1.") or not name.startswith("blocks.")]
    return [n for n in found if not (ALONE.fullmatch(n) or HEADS.fullmatch(n) or n.endswith("unembed.hook_out"))]

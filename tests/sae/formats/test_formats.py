"""Others' folders, written here by hand as their own code writes them, against their own formula for codes.

The same with the peers' packages, each in an environment of its own, is in test_formats_real.py.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from msae.core.errors import CheckpointError, ConfigError
from msae.sae.activation_fns import BatchTopK, JumpReLU, ReLU, TopK
from msae.sae.checkpoint import load, save
from msae.sae.formats import FORMATS, as_sparse_autoencoder, format_of, read_foreign
from msae.sae.nesting import Unnested

D_IN, D_SAE, K = 6, 20, 4
X = torch.randn(64, D_IN, generator=torch.Generator().manual_seed(0), dtype=torch.float32)


class Parts:
    """Weights with decoder rows of unequal norm and a b_dec that matters."""

    def __init__(self, *, unit: bool = False) -> None:
        g = torch.Generator().manual_seed(1)
        self.W_enc = torch.randn(D_IN, D_SAE, generator=g)
        self.W_dec = torch.randn(D_SAE, D_IN, generator=g)
        if unit:
            self.W_dec /= self.W_dec.norm(dim=1, keepdim=True)
        self.b_enc = torch.randn(D_SAE, generator=g) / 4
        self.b_dec = torch.randn(D_IN, generator=g)
        self.threshold = torch.rand(D_SAE, generator=g)

    def pre(self, *, subtract: bool) -> Tensor:
        return (X - self.b_dec if subtract else X) @ self.W_enc + self.b_enc

    def decode(self, f: Tensor) -> Tensor:
        return f @ self.W_dec + self.b_dec

    def named(self) -> dict[str, Tensor]:
        return {"W_enc": self.W_enc, "b_enc": self.b_enc, "W_dec": self.W_dec, "b_dec": self.b_dec}

    def linears(self) -> dict[str, Tensor]:
        """As two `nn.Linear`."""
        return {
            "encoder.weight": self.W_enc.T.contiguous(),
            "encoder.bias": self.b_enc,
            "decoder.weight": self.W_dec.T.contiguous(),
        }


def top_k(pre: Tensor) -> Tensor:
    values, at = pre.relu().topk(K, dim=1)
    return torch.zeros_like(pre).scatter(1, at, values)


def check(path: Path, codes: Tensor, reconstruction: Tensor, **expected: object) -> None:
    """Codes up to the norms of the decoder rows, reconstructions as they are."""
    foreign = read_foreign(path)
    sae = as_sparse_autoencoder(foreign)
    norms = foreign.W_dec.norm(dim=1)
    scaled = codes if foreign.selects_scaled or isinstance(sae.activation_fn, TopK) else codes * norms
    torch.testing.assert_close(sae.encode_dense(X), scaled, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(sae(X), reconstruction, rtol=1e-4, atol=1e-5)
    for name, value in expected.items():
        assert getattr(sae, name) == value


def dictionary_learning(path: Path, kind: str, state: dict[str, Tensor], **trainer: object) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    config = {
        "dict_class": kind,
        "activation_dim": D_IN,
        "dict_size": D_SAE,
        "lm_name": "gpt2",
        "submodule_name": "resid_post_layer_3",
        **trainer,
    }
    (path / "config.json").write_text(json.dumps({"trainer": config, "buffer": {"ctx_len": 128}}))
    torch.save(state, path / "ae.pt")
    return path


def saelens(path: Path, tensors: dict[str, Tensor], **config: object) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    metadata = {"sae_lens_version": "6.54.12", "model_name": "gpt2", "hook_name": "blocks.8.hook_resid_post"}
    fields = {"d_in": D_IN, "d_sae": D_SAE, "dtype": "float32", "device": "cpu", "metadata": metadata, **config}
    (path / "cfg.json").write_text(json.dumps(fields))
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path / "sae_weights.safetensors")
    return path


def test_dictionary_learning_matryoshka(tmp_path):
    parts = Parts()
    state = parts.named() | {
        "k": torch.tensor(K, dtype=torch.int),
        "threshold": torch.tensor(0.7),
        "group_sizes": torch.tensor([5, 5, 10]),
    }
    path = dictionary_learning(tmp_path, "MatryoshkaBatchTopKSAE", state)
    pre = parts.pre(subtract=True).relu()
    codes = pre * (pre > 0.7)
    check(path, codes, parts.decode(codes), prefix_widths=(5, 10, 20), activation_fn=BatchTopK(K))
    assert read_foreign(path).hook_name == "resid_post_layer_3" and read_foreign(path).model == "gpt2"


def test_dictionary_learning_batch_top_k_and_a_backup_of_training(tmp_path):
    parts = Parts(unit=True)
    state = parts.linears() | {
        "b_dec": parts.b_dec,
        "k": torch.tensor(K, dtype=torch.int),
        "threshold": torch.tensor(0.5),
    }
    path = dictionary_learning(tmp_path / "run", "BatchTopKSAE", state)
    pre = parts.pre(subtract=True).relu()
    codes = pre * (pre > 0.5)
    check(path, codes, parts.decode(codes), prefix_widths=(D_SAE,))
    (path / "checkpoints").mkdir()
    torch.save({"step": 7, "ae": state}, path / "checkpoints" / "ae_7.pt")
    check(path / "checkpoints" / "ae_7.pt", codes, parts.decode(codes))


def test_dictionary_learning_top_k_keeps_rows_as_they_are(tmp_path):
    parts = Parts()
    state = parts.linears() | {
        "b_dec": parts.b_dec,
        "k": torch.tensor(K, dtype=torch.int),
        "threshold": torch.tensor(-1.0),
    }
    codes = top_k(parts.pre(subtract=True))
    check(dictionary_learning(tmp_path, "AutoEncoderTopK", state), codes, parts.decode(codes), activation_fn=TopK(K))


def test_dictionary_learning_jumprelu_does_not_subtract_b_dec(tmp_path):
    parts = Parts()
    state = parts.named() | {"threshold": parts.threshold}
    pre = parts.pre(subtract=False)
    codes = (pre * (pre > parts.threshold)).relu()
    path = dictionary_learning(tmp_path, "JumpReluAutoEncoder", state, target_l0=3)
    check(path, codes, parts.decode(codes), activation_fn=JumpReLU(l0=3))


@pytest.mark.parametrize(
    ("kind", "bias", "subtract"), [("AutoEncoder", "bias", True), ("AutoEncoderNew", "decoder.bias", False)]
)
def test_dictionary_learning_relu(tmp_path, kind, bias, subtract):
    parts = Parts()
    codes = parts.pre(subtract=subtract).relu()
    check(dictionary_learning(tmp_path, kind, parts.linears() | {bias: parts.b_dec}), codes, parts.decode(codes))


def test_sparsify(tmp_path):
    parts = Parts(unit=True)
    tensors = {
        "encoder.weight": parts.W_enc.T.contiguous(),
        "encoder.bias": parts.b_enc,
        "W_dec": parts.W_dec,
        "b_dec": parts.b_dec,
    }
    save_file(tensors, tmp_path / "sae.safetensors")
    config = {
        "activation": "topk",
        "expansion_factor": 32,
        "normalize_decoder": True,
        "num_latents": D_SAE,
        "k": K,
        "multi_topk": False,
        "skip_connection": False,
        "transcode": False,
        "d_in": D_IN,
    }
    (tmp_path / "cfg.json").write_text(json.dumps(config))
    codes = top_k(parts.pre(subtract=True))
    check(tmp_path, codes, parts.decode(codes))
    for change, names in (
        ({"transcode": True}, "transcode"),
        ({"activation": "groupmax"}, "groupmax"),
        ({"new": 1}, "new"),
    ):
        (tmp_path / "cfg.json").write_text(json.dumps(config | change))
        with pytest.raises(CheckpointError, match=names):
            read_foreign(tmp_path)


@pytest.mark.parametrize("release", ["gemma_scope", "gemma_scope_2"])
def test_gemma_scope(tmp_path, release):
    parts = Parts()
    arrays = parts.named() | {"threshold": parts.threshold}
    if release == "gemma_scope":
        np.savez(tmp_path / "params.npz", **{name: tensor.numpy() for name, tensor in arrays.items()})
    else:
        save_file({name.lower(): tensor for name, tensor in arrays.items()}, tmp_path / "params.safetensors")
        config = {
            "architecture": "jump_relu",
            "model_name": "gemma-3-1b-pt",
            "hf_hook_point_in": "model.layers.13.output",
            "affine_connection": False,
        }
        (tmp_path / "config.json").write_text(json.dumps(config))
    assert format_of(tmp_path).name == release
    pre = parts.pre(subtract=False)
    codes = (pre * (pre > parts.threshold)).relu()
    check(tmp_path, codes, parts.decode(codes))
    nested = as_sparse_autoencoder(read_foreign(tmp_path), widths=(4, 10, 20))
    assert nested.prefix_widths == (4, 10, 20)
    with pytest.raises(ConfigError, match="end at d_sae = 20"):
        as_sparse_autoencoder(read_foreign(tmp_path), widths=(4, 10))


def test_saelens_inference_folders(tmp_path):
    parts = Parts()
    pre = parts.pre(subtract=True)
    check(saelens(tmp_path / "relu", parts.named(), architecture="standard"), pre.relu(), parts.decode(pre.relu()))
    codes = (pre * (pre > parts.threshold)).relu()
    jump = saelens(tmp_path / "jump", parts.named() | {"threshold": parts.threshold}, architecture="jumprelu")
    check(jump, codes, parts.decode(codes))
    unbiased = parts.pre(subtract=False).relu()
    path = saelens(tmp_path / "plain", parts.named(), architecture="standard", apply_b_dec_to_input=False)
    check(path, unbiased, parts.decode(unbiased))


def test_saelens_top_k_that_chooses_by_scaled_pre_activations(tmp_path):
    parts = Parts()
    norms = parts.W_dec.norm(dim=1)
    codes = top_k(parts.pre(subtract=True) * norms)
    path = saelens(tmp_path, parts.named(), architecture="topk", k=K, rescale_acts_by_decoder_norm=True)
    check(path, codes, parts.decode(codes / norms))


def test_saelens_checkpoint_of_a_matryoshka_run_on_scaled_activations(tmp_path):
    parts = Parts()
    norms, scale, theta = parts.W_dec.norm(dim=1), 2.5, 0.9
    tensors = parts.named() | {"topk_threshold": torch.tensor(theta, dtype=torch.float64)}
    path = saelens(
        tmp_path, tensors, architecture="matryoshka_batchtopk", k=K, matryoshka_widths=[4, D_SAE],
        rescale_acts_by_decoder_norm=True, normalize_activations="expected_average_only_in", topk_threshold_lr=0.01,
    )  # fmt: skip
    with pytest.raises(CheckpointError, match="scaling_factor"):
        read_foreign(path)
    (path / "activation_scaler.json").write_text(json.dumps({"scaling_factor": scale}))
    pre = ((scale * X - parts.b_dec) @ parts.W_enc + parts.b_enc) * norms
    codes = pre * (pre > theta)
    sae = as_sparse_autoencoder(read_foreign(path))
    assert sae.prefix_widths == (4, D_SAE)
    torch.testing.assert_close(sae.encode_dense(X) > 0, codes > 0)
    torch.testing.assert_close(sae(X), parts.decode(codes / norms) / scale, rtol=1e-4, atol=1e-5)


def test_an_old_saelens_top_k_calls_itself_standard(tmp_path):
    parts = Parts(unit=True)
    path = saelens(
        tmp_path, parts.named(), architecture="standard", activation_fn_str="topk", activation_fn_kwargs={"k": K},
        metadata={}, hook_layer=8, normalize_activations=False, finetuning_scaling_factor=False,
    )  # fmt: skip
    codes = top_k(parts.pre(subtract=True))
    check(path, codes, parts.decode(codes), activation_fn=TopK(K))


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"activation_fn": "tanh-relu"}, "tanh-relu"),
        ({"finetuning_scaling_factor": True}, "finetuning_scaling_factor"),
        ({"normalize_activations": "layer_norm"}, "layer_norm"),
        ({"architecture": "gated"}, "gated"),
        ({"a_field_of_tomorrow": 1}, "a_field_of_tomorrow"),
        ({"d_sae": 10**12}, "expected"),
        ({"d_in": None}, "d_in"),
        ({"metadata": [1]}, "metadata"),
    ],
)
def test_what_a_saelens_folder_says_and_msae_does_not_do_is_refused(tmp_path, change, names):
    path = saelens(tmp_path, Parts().named(), **{"architecture": "standard", **change})
    with pytest.raises(CheckpointError, match=names):
        read_foreign(path)


class Harmful:
    def __reduce__(self) -> tuple[Callable, tuple]:
        return Path.touch, (Path("harm"),)


def test_a_pickle_that_wants_to_run_code_is_not_opened(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = dictionary_learning(tmp_path, "AutoEncoder", {})
    (path / "ae.pt").write_bytes(pickle.dumps({"bias": Harmful()}))
    with pytest.raises(CheckpointError, match="was not opened"):
        read_foreign(path)
    torch.save({"bias": Harmful()}, path / "ae.pt")
    with pytest.raises(CheckpointError, match="was not opened"):
        read_foreign(path)
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"W_enc": None}, "W_enc is missing"),
        ({"W_skip": torch.zeros(2)}, "W_skip is not a tensor"),
        ({"b_enc": torch.zeros(3)}, r"b_enc has shape \(3,\)"),
        ({"b_dec": torch.full((D_IN,), torch.nan)}, "b_dec .* not finite"),
    ],
)
def test_tensors_that_do_not_fit_are_named(tmp_path, change, names):
    tensors = {name: tensor for name, tensor in (Parts().named() | change).items() if tensor is not None}
    with pytest.raises(CheckpointError, match=names):
        as_sparse_autoencoder(read_foreign(saelens(tmp_path, tensors, architecture="standard")))


def test_a_threshold_that_was_never_set_is_refused(tmp_path):
    state = Parts().linears() | {
        "b_dec": torch.zeros(D_IN),
        "k": torch.tensor(K, dtype=torch.int),
        "threshold": torch.tensor(-1.0),
    }
    with pytest.raises(CheckpointError, match="before it was set"):
        read_foreign(dictionary_learning(tmp_path, "BatchTopKSAE", state))
    with pytest.raises(CheckpointError, match="GatedAutoEncoder"):
        read_foreign(dictionary_learning(tmp_path, "GatedAutoEncoder", state))


def test_a_folder_of_nothing_known_names_the_formats(tmp_path):
    with pytest.raises(CheckpointError) as error:
        format_of(tmp_path)
    assert all(reader.name in str(error.value) for reader in FORMATS)
    with pytest.raises(CheckpointError, match="is not there"):
        format_of(tmp_path / "missing")


def test_names_of_formats_are_unique():
    assert len({reader.name for reader in FORMATS}) == len(FORMATS)
    assert isinstance(ReLU(l1_coefficient=0.0).target_l0(), type(None))


def test_load_opens_them_all_and_takes_widths(tmp_path):
    parts = Parts()
    path = saelens(tmp_path / "theirs", parts.named(), architecture="standard")
    assert load(path).prefix_widths == (D_SAE,)
    nested = load(path, widths=(5, D_SAE))
    assert nested.prefix_widths == (5, D_SAE) and not nested.training
    save(nested, tmp_path / "ours")
    assert load(tmp_path / "ours").prefix_widths == (5, D_SAE)
    relevelled = load(tmp_path / "ours", widths=(3, 9, D_SAE))
    assert relevelled.prefix_widths == (3, 9, D_SAE)
    torch.testing.assert_close(relevelled.encode_dense(X), nested.encode_dense(X))
    assert load(tmp_path / "ours", widths=(D_SAE,)).nesting == Unnested()
    with pytest.raises(ConfigError, match="end at d_sae"):
        load(tmp_path / "ours", widths=(3, 9))

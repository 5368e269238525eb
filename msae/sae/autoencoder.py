"""`SparseAutoencoder`: an encoder × an activation function × a nesting over one dictionary.

z = (x − b_dec) W_enc + b_enc (`Linear`)     f = the z that the activation function keeps
x̂_g = b_dec + Σ_{j < m_g} f_j W_dec[j]    the reconstruction of level g, whose prefix holds m_g latents
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from msae.core.checked import checked
from msae.core.config import require
from msae.core.errors import CheckpointError, ConfigError
from msae.core.numerics import RowArray, as_rows
from msae.core.rng import torch_stream
from msae.core.spec import SourceSpec
from msae.sae.activation_fns import ActivationFunction, BatchTopK
from msae.sae.codes import SparseCodes
from msae.sae.encoders import Encoder, Linear
from msae.sae.nesting import FixedPrefixes, Nesting, Unnested


@dataclass(frozen=True, kw_only=True)
class LevelRecord:
    """What a level was worth when the SAE was finished: its prefix width, L0 and FVU on rows never trained on.

    `fvu_ordinary`: FVU without sinks among them (`msae.core.sinks`); None where there was none, or it is not known.
    """

    width: int
    l0: float
    fvu: float
    fvu_ordinary: float | None = None


@checked
class SparseAutoencoder(nn.Module):
    """A sparse autoencoder whose latents are nested in levels; level 0 is the smallest prefix.

    Parameters: `W_enc` (d_in, d_sae), `b_enc` (d_sae), `W_dec` (d_sae, d_in, unit rows), `b_dec` (d_in) and
    `threshold` (d_sae), θ, which BatchTopK and JumpReLU use. `W_enc` is kept column by column in memory: a latent's
    encoder direction is contiguous, which every sparse kernel wants.

    In `train()` mode BatchTopK keeps the k · batch largest of the batch it is given; in `eval()` mode it uses θ, so
    that a row's code does not depend on its neighbours. A new SAE is in `train()` mode, a loaded or trained one in
    `eval()` mode. `trained`: its parameters are those of activations as they come, as of a loaded or finished
    SAE. `loaded_from`: where it was opened.

    Raises `ConfigError` when k exceeds d_sae or the widths do not end at d_sae.
    """

    def __init__(
        self,
        d_in: int,
        d_sae: int,
        activation_fn: ActivationFunction | None = None,
        nesting: Nesting | None = None,
        *,
        encoder: Encoder | None = None,
        seed: int = 0,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        super().__init__()
        require(d_in > 0, "d_in", d_in, "the positive width of an activation")
        require(d_sae > 0, "d_sae", d_sae, "a positive number of latents")
        self.d_in, self.d_sae, self.seed = d_in, d_sae, seed
        self.activation_fn = BatchTopK(k=min(32, d_sae)) if activation_fn is None else activation_fn
        self.nesting = Unnested() if nesting is None else nesting
        self.encoder = Linear() if encoder is None else encoder
        self.activation_fn.validate(d_sae)
        self.prefix_widths = self.nesting.eval_widths(d_sae)
        self.source: SourceSpec | None = None
        self.trained = False
        self.loaded_from: str | None = None
        self.recorded: tuple[LevelRecord, ...] = ()

        directions = torch.randn(d_sae, d_in, generator=torch_stream(seed, "sae/init"), dtype=torch.float64)
        directions /= directions.norm(dim=1, keepdim=True)
        directions = directions.to(device=device, dtype=dtype)
        learns, theta = self.activation_fn.learns_threshold, self.activation_fn.initial_threshold()
        self.W_dec = nn.Parameter(directions)
        self.W_enc = nn.Parameter(directions.clone().T)
        self.b_enc = nn.Parameter(torch.zeros(d_sae, dtype=dtype, device=device))
        self.b_dec = nn.Parameter(torch.zeros(d_in, dtype=dtype, device=device))
        self.threshold = nn.Parameter(torch.full((d_sae,), theta, dtype=dtype, device=device), requires_grad=learns)
        self.register_buffer("level_of", _levels(self.prefix_widths, d_sae).to(device), persistent=False)
        self.level_of: Tensor

    @property
    def n_levels(self) -> int:
        """How many levels the dictionary has."""
        return len(self.prefix_widths)

    @property
    def device(self) -> torch.device:
        """Where the parameters lie."""
        return self.W_dec.device

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the parameters."""
        return self.W_dec.dtype

    def width(self, level: int | None = None) -> int:
        """The prefix width of `level` (None: the last); `ConfigError` for a level that does not exist."""
        if level is None:
            return self.d_sae
        if not 0 <= level < self.n_levels:
            raise ConfigError(
                f"level = {level}: this SAE has levels 0 … {self.n_levels - 1} of widths {self.prefix_widths}"
            )
        return self.prefix_widths[level]

    def band(self, level: int) -> slice:
        """The latents that `level` adds to the prefix before it."""
        return slice(0 if level == 0 else self.width(level - 1), self.width(level))

    def pre_activations(self, x: RowArray) -> Float[Tensor, "batch d_sae"]:
        """z, as the encoder makes it. Rows of any dtype, torch or numpy, come to the SAE's dtype and device."""
        rows = as_rows(x, self.d_in).to(self.device, self.dtype)
        return self.encoder.pre_activations(rows, self.W_enc, self.b_enc, self.b_dec)

    def encode_dense(self, x: RowArray) -> Float[Tensor, "batch d_sae"]:
        """Codes as an array, differentiable in everything but the choice of latents."""
        pre = self.pre_activations(x)
        if self.training:
            mask = self.activation_fn.train_mask(pre, self.threshold)
        else:
            self._require_threshold()
            mask = self.activation_fn.eval_mask(pre, self.threshold)
        return torch.where(mask, pre, 0.0)

    def encode(self, x: RowArray) -> SparseCodes:
        """Codes as (row, latent, value) triples, sorted by row, then latent."""
        return SparseCodes.from_dense(self.encode_dense(x))

    def decode(self, codes: SparseCodes, level: int | None = None) -> Float[Tensor, "batch d_in"]:
        """b_dec + Σ_{j < m} f_j W_dec[j] over the prefix of `level` (None: all latents)."""
        width = self.width(level)
        prefix = codes if width >= codes.d_sae else codes.below(width)
        return self.b_dec + decode_rows(self.W_dec, prefix)

    def reconstruct(self, x: RowArray, level: int | None = None) -> Float[Tensor, "batch d_in"]:
        """The reconstruction from the prefix of `level` (None: all latents)."""
        return self.decode(self.encode(x), level)

    def reconstruct_levels(self, x: RowArray) -> Float[Tensor, "level batch d_in"]:
        """The reconstruction of every level, from one encoding and one sparse decode."""
        return self.decode_levels(self.encode(x))

    def decode_levels(self, codes: SparseCodes) -> Float[Tensor, "level batch d_in"]:
        """`decode` of every level at once: bands are decoded once and summed up."""
        return self.b_dec + decode_bands(self.W_dec, codes, self.prefix_widths).cumsum(0)

    def forward(self, x: RowArray) -> Float[Tensor, "batch d_in"]:
        """The full reconstruction."""
        return self.reconstruct(x)

    def truncate(self, level: int) -> SparseAutoencoder:
        """The prefix of `level` as an SAE of its own, with the levels below it.

        With a threshold (BatchTopK, JumpReLU) or ReLU its codes are this SAE's codes below the width, but for the last
        bits of a narrower product; k or l0 becomes the L0 recorded for the level. TopK chooses over the whole
        dictionary, so its prefix keeps fewer than k: the new k is the L0 recorded for the level, rounded;
        `CheckpointError` when none is recorded. What an activation function makes of it, it says in `for_prefix`.
        """
        width = self.width(level)
        inner = self.prefix_widths[: level + 1]
        fn = self.activation_fn
        if width < self.d_sae:
            fn = fn.for_prefix(width, self.recorded[level].l0 if self.recorded else None)
        nesting = Unnested() if len(inner) == 1 else FixedPrefixes(inner)
        small = SparseAutoencoder(
            self.d_in, width, fn, nesting, encoder=self.encoder, dtype=self.dtype, device=self.device
        )
        with torch.no_grad():
            small.W_enc.copy_(self.W_enc[:, :width])
            small.W_dec.copy_(self.W_dec[:width])
            small.b_enc.copy_(self.b_enc[:width])
            small.b_dec.copy_(self.b_dec)
            small.threshold.copy_(self.threshold[:width])
        small.source, small.trained, small.loaded_from = self.source, self.trained, self.loaded_from
        small.recorded = self.recorded[: level + 1]
        return small.train(self.training)

    @torch.no_grad()
    def fold_scale(self, scale: float) -> None:
        """Turn an SAE of s·x into the same SAE of x: b_enc, b_dec and θ are divided by s, the weights stay."""
        require(scale > 0 and math.isfinite(scale), "scale", scale, "a positive, finite factor")
        for parameter in (self.b_enc, self.b_dec, self.threshold):
            parameter.div_(scale)

    def _require_threshold(self) -> None:
        if self.activation_fn.threshold_from_batches and torch.isnan(self.threshold[0]):
            raise CheckpointError(
                "this SAE has no threshold yet: train it (Trainer.finish calibrates θ), "
                "or call .train() to choose codes batch by batch"
            )

    def extra_repr(self) -> str:
        """The shape, the activation function and the levels."""
        return f"d_in={self.d_in}, d_sae={self.d_sae}, {self.activation_fn}, levels={self.prefix_widths}"


def decode_rows(W_dec: Float[Tensor, "d_sae d_in"], codes: SparseCodes) -> Float[Tensor, "batch d_in"]:
    """Σ_j f_j W_dec[j] for every row."""
    return nn.functional.embedding_bag(
        codes.latent, W_dec, codes.row_offsets(), mode="sum", per_sample_weights=codes.value.to(W_dec.dtype)
    )


def decode_bands(
    W_dec: Float[Tensor, "d_sae d_in"], codes: SparseCodes, widths: tuple[int, ...]
) -> Float[Tensor, "level batch d_in"]:
    """Σ f_j W_dec[j] over each band m_{g−1} ≤ j < m_g apart; their cumulative sum gives the prefixes."""
    bands = (
        [codes] if len(widths) == 1 else [_band(codes, lo, hi) for lo, hi in zip((0, *widths), widths, strict=False)]
    )
    return torch.stack([decode_rows(W_dec, band) for band in bands])


def _band(codes: SparseCodes, lo: int, hi: int) -> SparseCodes:
    keep = (codes.latent >= lo) & (codes.latent < hi)
    return SparseCodes(codes.row[keep], codes.latent[keep], codes.value[keep], codes.n_rows, codes.d_sae)


def _levels(widths: tuple[int, ...], d_sae: int) -> Int[Tensor, " d_sae"]:
    return torch.searchsorted(torch.tensor(widths), torch.arange(d_sae), right=True)

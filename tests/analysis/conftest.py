"""Two models: a bigram one whose losses can be worked out by hand, and a tiny GPT-2 as TransformerLens runs it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from msae.activations.source import ContextBatch, Replacement
from msae.core.spec import SourceSpec
from msae.data.documents import Document
from msae.sae import BatchTopK, FixedPrefixes, SparseAutoencoder, Unnested

BOS = 0


def batch_of(token_ids: list[list[int]], document: list[list[int]]) -> ContextBatch:
    where = torch.tensor(document)
    offset = torch.where(where >= 0, torch.arange(where.shape[1]), -1)
    return ContextBatch(
        token_ids=torch.tensor(token_ids),
        document=where,
        offset=offset,
        attention=torch.ones_like(where, dtype=torch.bool),
    )


@dataclass
class BigramSource:
    """A model in one line: logits = embedding[token] @ unembedding, with the hook in between. It counts its passes."""

    embedding: Tensor
    unembedding: Tensor
    has_language_head: bool = True
    model: str = "bigram"
    passes: list[int] = field(default_factory=list)

    @property
    def specs(self) -> Mapping[str, SourceSpec]:
        return {"embed": SourceSpec(kind="module", model=self.model, hook_name="embed", d_in=self.embedding.shape[1])}

    def contexts(self, documents: Iterable[Document]) -> Iterator[ContextBatch]:
        """One context a document, a token a character (a = 1, b = 2, …), behind BOS."""
        for number, document in enumerate(documents):
            ids = [ord(character) - ord("a") + 1 for character in document.text]
            if ids:
                yield batch_of([[BOS, *ids]], [[-1, *[number] * len(ids)]])

    def activations(self, batch: ContextBatch) -> dict[str, Tensor]:
        return {"embed": self.embedding[batch.token_ids]}

    def logits(self, batch: ContextBatch, replace: Mapping[str, Replacement] | None = None) -> Tensor:
        self.passes.append(len(batch))
        hidden = self.embedding[batch.token_ids]
        for name, function in (replace or {}).items():
            assert name == "embed"
            hidden = torch.where(batch.keep[..., None], function(hidden, batch.keep), hidden)
        return hidden @ self.unembedding


@dataclass
class HeadlessSource:
    """The same without a model behind the hook."""

    embedding: Tensor

    @property
    def specs(self) -> Mapping[str, SourceSpec]:
        return {"embed": SourceSpec(kind="module", model="bare", hook_name="embed", d_in=self.embedding.shape[1])}

    def contexts(self, documents: Iterable[Document]) -> Iterator[ContextBatch]:
        return BigramSource(self.embedding, self.embedding.T).contexts(documents)

    def activations(self, batch: ContextBatch) -> dict[str, Tensor]:
        return {"embed": self.embedding[batch.token_ids]}


def pair_sae(d_in: int, widths: tuple[int, ...] | None = None) -> SparseAutoencoder:
    """2 d_in latents that reconstruct anything exactly: W_dec = [I; −I], so f = [relu(x), relu(−x)] and f W_dec = x."""
    d_sae = 2 * d_in
    nesting = Unnested() if widths is None else FixedPrefixes(widths)
    sae = SparseAutoencoder(d_in, d_sae, BatchTopK(k=d_sae), nesting)
    with torch.no_grad():
        sae.W_dec.copy_(torch.cat([torch.eye(d_in), -torch.eye(d_in)]))
        sae.W_enc.copy_(sae.W_dec.T)
        sae.threshold.zero_()
    return sae.eval()


def silent_sae(d_in: int, bias: Tensor | None = None) -> SparseAutoencoder:
    """Nothing ever fires: every reconstruction is b_dec (zeros unless given)."""
    sae = pair_sae(d_in)
    with torch.no_grad():
        sae.threshold.fill_(1e6)
        if bias is not None:
            sae.b_dec.copy_(bias)
    return sae


def random_sae(d_in: int, widths: tuple[int, ...], *, k: float = 6, threshold: float = 0.2) -> SparseAutoencoder:
    sae = SparseAutoencoder(d_in, widths[-1], BatchTopK(k=k), FixedPrefixes(widths), seed=3)
    with torch.no_grad():
        sae.threshold.fill_(threshold)
    return sae.eval()


@pytest.fixture(scope="session")
def toys() -> SimpleNamespace:
    """The makers above, for tests to call."""
    makers = (batch_of, BigramSource, HeadlessSource, pair_sae, silent_sae, random_sae)
    return SimpleNamespace(**{maker.__name__: maker for maker in makers})


@pytest.fixture
def bigram() -> BigramSource:
    generator = torch.Generator().manual_seed(5)
    return BigramSource(torch.randn(9, 6, generator=generator), torch.randn(6, 9, generator=generator))


@pytest.fixture(scope="session")
def gpt2_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A GPT-2 of 3 layers with random weights (a wide initialisation, so that every part shows) and a tokenizer."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import AutoModelForCausalLM, GPT2Config, PreTrainedTokenizerFast

    letters = ["<|endoftext|>", "<pad>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    tokenizer = Tokenizer(models.BPE(vocab={letter: index for index, letter in enumerate(letters)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    config = GPT2Config(
        vocab_size=len(letters),
        n_embd=24,
        n_layer=3,
        n_head=3,
        n_positions=48,
        initializer_range=0.2,
        bos_token_id=0,
        eos_token_id=0,
        pad_token_id=1,
    )
    folder = tmp_path_factory.mktemp("models") / "gpt2"
    with torch.random.fork_rng():
        torch.manual_seed(2)
        AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<|endoftext|>", eos_token="<|endoftext|>", pad_token="<pad>"
    ).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def gpt2(gpt2_folder: Path) -> Callable[..., object]:
    """`gpt2(layer=1)`: a source on the tiny GPT-2, opened once."""
    from msae.activations.transformer_lens import TransformerLensSource

    bridge = TransformerLensSource(gpt2_folder, layer=1, context_size=24, device="cpu").model

    def source(**settings: object) -> TransformerLensSource:
        defaults = {"layer": 1, "context_size": 24, "batch_size": 4, "device": "cpu"}
        return TransformerLensSource(bridge, **(defaults | settings))

    return source


@pytest.fixture(scope="session")
def spoken(gpt2: Callable[..., object]) -> list[ContextBatch]:
    """Contexts the tiny GPT-2 wrote itself, so that it predicts them well and losing its activations hurts."""
    source = gpt2()
    generator = torch.Generator().manual_seed(0)
    token_ids = torch.full((8, 1), BOS)
    while token_ids.shape[1] < 24:
        document = torch.zeros_like(token_ids)
        with torch.no_grad():
            logits = source.logits(batch_of(token_ids.tolist(), document.tolist()))[:, -1]
        logits[:, :2] = -torch.inf
        token_ids = torch.cat([token_ids, logits.softmax(1).multinomial(1, generator=generator)], dim=1)
    document = torch.arange(8)[:, None].expand(8, 24).clone()
    document[:, 0] = -1
    whole = batch_of(token_ids.tolist(), document.tolist())
    return [whole.select(part) for part in torch.arange(8).split(4)]

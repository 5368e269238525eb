"""Two models: a bigram one whose losses can be worked out by hand, and a tiny GPT-2 as TransformerLens runs it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from msae.activations.source import ContextBatch, Replacement
from msae.activations.store import RowTokens
from msae.activations.synthetic import SyntheticForest
from msae.analysis.features.collection import collect
from msae.analysis.sample import ArrayRows, Collected
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


LETTERS = "bcdgk"
ENDINGS = ("arn", "ell", "ick", "one", "umb", "ast", "est", "int", "ork", "usk", "amp", "end")
SPELLED = tuple(f" {letter}{ending}" for letter in LETTERS for ending in ENDINGS)


@pytest.fixture(scope="session")
def speller(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A Llama of two layers that knows 60 words and has learnt to spell them (`folder`), and as it was before
    (`untaught`). `letters`, `words`: of every letter 12, each one token.

    Positions enter a Llama's attention alone, so what goes into its first layer is the token's embedding, anywhere.
    """
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers
    from transformers import AutoModelForCausalLM, LlamaConfig, PreTrainedTokenizerFast

    answers = [f" {letter.upper()}" for letter in LETTERS]
    asks = [" has", " the", " first", " letter", ":"]
    tokens = ["<bos>", "<pad>", "<unk>", "\n", *asks, *answers, *SPELLED]
    token = {text: index for index, text in enumerate(tokens)}
    tokenizer = Tokenizer(models.WordLevel(vocab=token, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r" ?[A-Za-z]+|\n|:"), "isolated")
    width = 80
    config = LlamaConfig(
        vocab_size=len(tokens),
        hidden_size=width,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=width // 2,
        intermediate_size=width,
        max_position_embeddings=128,
        bos_token_id=0,
        eos_token_id=0,
        pad_token_id=1,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(config)
    root = tmp_path_factory.mktemp("spellers")
    for name in ("untaught", "taught"):
        if name == "taught":
            teach(model, token, asks, answers)
        model.save_pretrained(root / name)
        PreTrainedTokenizerFast(
            tokenizer_object=tokenizer, bos_token="<bos>", pad_token="<pad>", unk_token="<unk>"
        ).save_pretrained(root / name)
    return SimpleNamespace(folder=root / "taught", untaught=root / "untaught", letters=LETTERS, words=SPELLED)


def teach(model: torch.nn.Module, token: dict[str, int], asks: list[str], answers: list[str], lines: int = 8) -> None:
    """Some seconds of lines ``word has the first letter: W``, with the loss on the letters."""
    generator = torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    after = torch.tensor([token[text] for text in asks])
    for _ in range(1_000):  # some 150 are enough on most processors; it stops when it has learnt
        word = torch.randint(0, len(SPELLED), (16, lines), generator=generator)
        answer = word // len(ENDINGS) + token[answers[0]]
        said = torch.cat(
            [
                (word + token[SPELLED[0]])[..., None],
                after.expand(16, lines, len(after)),
                answer[..., None],
                torch.full((16, lines, 1), token["\n"]),
            ],
            dim=2,
        )
        token_ids = torch.cat([torch.full((16, 1), BOS), said.flatten(1)], dim=1)
        logits = model(token_ids).logits[:, len(after) + 1 :: said.shape[2]][:, :lines]
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), answer.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if loss.item() < 5e-3:
            return
    raise AssertionError(f"the model did not learn to spell: its loss is {loss.item():.3f}")


def perfect_sae(forest: SyntheticForest, widths: tuple[int, ...]) -> SparseAutoencoder:
    """Latent j is feature j: the pseudo-inverse reads the codes off exactly, with at most d_in features."""
    sae = SparseAutoencoder(forest.d_in, forest.n_features, BatchTopK(k=4), FixedPrefixes(widths))
    with torch.no_grad():
        sae.W_dec.copy_(forest.directions)
        sae.W_enc.copy_(torch.linalg.pinv(forest.directions))
        sae.threshold.fill_(1e-3)
    return sae.eval()


def tokens_of(n_rows: int, length: int, *, vocabulary: int = 30) -> RowTokens:
    row = torch.arange(n_rows)
    return RowTokens(token_id=row * 7 % vocabulary, document=row // length, offset=row % length)


@pytest.fixture(scope="session")
def small() -> SimpleNamespace:
    """A forest of 8 roots, 2 children each, 2 grandchildren each; 2,048 rows in documents of 64; its perfect SAE."""
    forest = SyntheticForest(d_in=64, n_roots=8, root_rate=0.15, branching=(2, 2))
    x, truth = forest.sample(2048, seed=1)
    rows = ArrayRows(x, tokens_of(2048, 64))
    return SimpleNamespace(forest=forest, x=x, truth=truth, rows=rows, sae=perfect_sae(forest, (8, 24, 56)))


def sae_of(W_dec: Sequence, W_enc: Sequence, widths: tuple[int, ...]) -> SparseAutoencoder:
    """An SAE from its decoder rows and, as rows too, its encoder columns; θ just above zero."""
    dec, enc = torch.as_tensor(W_dec, dtype=torch.float32), torch.as_tensor(W_enc, dtype=torch.float32)
    nesting = FixedPrefixes(widths) if len(widths) > 1 else Unnested()
    sae = SparseAutoencoder(dec.shape[1], dec.shape[0], BatchTopK(k=1), nesting)
    with torch.no_grad():
        sae.W_dec.copy_(dec)
        sae.W_enc.copy_(enc.T)
        sae.threshold.fill_(1e-3)
    return sae.eval()


def in_documents(x: torch.Tensor, length: int = 50) -> ArrayRows:
    row = torch.arange(len(x))
    return ArrayRows(x, RowTokens(token_id=row % 11, document=row // length, offset=row % length))


def mixed(rows: torch.Tensor) -> torch.Tensor:
    """In another order, so that what a latent fires on is spread over documents: shifts keep what fills whole ones."""
    return rows[torch.randperm(len(rows), generator=torch.Generator().manual_seed(0))]


def collected_from_codes(codes: torch.Tensor, widths: tuple[int, ...], length: int = 50) -> Collected:
    """A dictionary of unit vectors, so that the rows are the codes."""
    d = codes.shape[1]
    return collect(sae_of(torch.eye(d), torch.eye(d), widths), in_documents(codes.float(), length))


def forest_sample(nested: bool = True) -> SimpleNamespace:
    """16 roots with 2 children each, one after another in level order, read exactly."""
    forest = SyntheticForest(d_in=56, n_roots=16, root_rate=0.12, branching=(2,))
    x, _ = forest.sample(4000, seed=1)
    widths = (16, 48) if nested else (48,)
    sae = sae_of(forest.directions, torch.linalg.pinv(forest.directions).T, widths)
    return SimpleNamespace(forest=forest, sae=sae, collected=collect(sae, in_documents(x)))


@pytest.fixture(scope="session")
def from_codes() -> Callable[..., Collected]:
    return collected_from_codes


@pytest.fixture(scope="session")
def build() -> SimpleNamespace:
    return SimpleNamespace(sae_of=sae_of, in_documents=in_documents, mixed=mixed)


@pytest.fixture(scope="session")
def forest() -> SimpleNamespace:
    return forest_sample()


@pytest.fixture(scope="session")
def flat_forest() -> SimpleNamespace:
    return forest_sample(nested=False)

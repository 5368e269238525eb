"""Texts as a store keeps them: by a byte-level tokenizer, a token a byte, so that every other letter here is split."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import msae
from msae.activations.store import RowTokens
from msae.analysis.sample import ArrayRows, TokenText, token_text

DOCUMENTS = (
    "def größe(n: int) -> int:\n    '''Ünits, 四.'''\n    return n + 1\n\n\nclass Ast:\n    x = 3\n\n\nx = größe(2)\n",
    "import os\n\nfor name in os.listdir('ä'):\n    print(name)\n    if not name:\n        break\n\nprint('done')\n",
)


@pytest.fixture(scope="session")
def byte_text(gpt2: Callable[..., object]) -> TokenText:
    return token_text(gpt2().tokenizer)  # type: ignore[attr-defined]


@pytest.fixture(scope="session")
def rows_of_texts(gpt2: Callable[..., object]) -> Callable[[Sequence[str]], ArrayRows]:
    """Rows of nothing, with the tokens of the texts."""
    tokenizer = gpt2().tokenizer  # type: ignore[attr-defined]

    def rows(texts: Sequence[str]) -> ArrayRows:
        ids = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]
        tokens = RowTokens(
            token_id=torch.tensor([i for own in ids for i in own]),
            document=torch.tensor([d for d, own in enumerate(ids) for _ in own]),
            offset=torch.tensor([o for own in ids for o in range(len(own))]),
        )
        return ArrayRows(torch.zeros(len(tokens.document), 1), tokens)

    return rows


@pytest.fixture(scope="session")
def harvested(gpt2: Callable[..., object], tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A store of `DOCUMENTS` that keeps every fourth context in its holdout."""
    source = gpt2()
    path: Path = tmp_path_factory.mktemp("labelled") / "acts"
    documents = msae.string_documents(DOCUMENTS * 3)
    store = msae.harvest(source, documents, n_tokens=450, path=path, holdout_tokens=150, progress=False)  # type: ignore[arg-type]
    return SimpleNamespace(store=store, text=token_text(source.tokenizer), documents=DOCUMENTS * 3)  # type: ignore[attr-defined]

"""A small language model of Python that ships with msae, and the text to run it on: no download.

`documents()` reads Python source that is already on this machine, split by module name into what the model was
trained on and what it has never seen; `model_path()` is the model, a folder in the Hugging Face layout.
"""

from __future__ import annotations

from pathlib import Path

from msae.core.errors import SourceError
from msae.demo.corpus import Corpus, CorpusReport, Split

__all__ = ["Corpus", "CorpusReport", "corpus_report", "documents", "model_path"]


def documents(split: Split = "heldout") -> Corpus:
    """The documents (`name`: the module's dotted name, `text`: its source) of one split, on this machine.

    Can be iterated again and again, each time in the same order; files are read as they are needed.

    Raises:
        CorpusError: no such split, or too little Python source is installed.
    """
    return Corpus(split)


def corpus_report(split: Split = "heldout") -> CorpusReport:
    """What `documents(split)` holds on this machine: files, bytes, tokens, what was skipped, and a fingerprint.

    Raises:
        CorpusError: no such split, or too little Python source is installed.
    """
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(model_path() / "tokenizer.json"))
    return Corpus(split).report(lambda text: len(tokenizer.encode(text, add_special_tokens=False)))


def model_path() -> Path:
    """The folder of the model: `TransformerBridge.boot_transformers(str(model_path()))` opens it.

    Raises:
        SourceError: the weights are missing from this installation.
    """
    folder = Path(__file__).parent / "model"
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        if not (folder / name).is_file():
            raise SourceError(
                f"the demo model is incomplete: {folder / name} is missing. Install msae again from its wheel, or "
                f"train the model with experiments/studies/train_demo_lm.py and copy its export folder to {folder}"
            )
    return folder

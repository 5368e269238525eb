"""The vectors that sentence-transformers gives texts, cut to some dimensions with its own `truncate_dim`.

Run with the Python of an environment that holds sentence-transformers (`make bench-peers` makes one)::

    .venv-peers/sentence-transformers/bin/python experiments/peers/sentence_transformers_embed.py \\
        --model FOLDER --texts texts.txt --dimensions 64 --out seen.npy

`--texts` holds a text a line. Vectors are normalised, as the library does it after cutting.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from sentence_transformers import SentenceTransformer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="a folder saved by sentence-transformers")
    parser.add_argument("--texts", type=Path, required=True, help="a text a line")
    parser.add_argument("--dimensions", type=int, help="truncate_dim; all when left out")
    parser.add_argument("--out", type=Path, required=True, help="the .npy file to write")
    arguments = parser.parse_args()
    model = SentenceTransformer(str(arguments.model), truncate_dim=arguments.dimensions, device="cpu")
    texts = arguments.texts.read_text(encoding="utf-8").splitlines()
    vectors = model.encode(texts, normalize_embeddings=True, show_progress_bar=False)
    np.save(arguments.out, vectors)
    print(f"{len(texts)} vectors of {vectors.shape[1]} numbers are in {arguments.out}")


if __name__ == "__main__":
    main()

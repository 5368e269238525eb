"""What SAEBench's own absorption code makes of given codes, a probe direction and main latents, and of given F1.

Run with the Python of an environment that holds sae-bench (`make bench-peers` makes one)::

    .venv-peers/sae-bench/bin/python experiments/peers/sae_bench_absorption.py --case case.safetensors --out seen.json

`--case` holds ``x`` (tokens, d_in), ``codes`` (tokens, d_sae), ``W_dec`` (d_sae, d_in), ``probe`` (d_in), ``main``
(latents) and ``f1`` (letters, k): the F1 of sparse probes of 1, 2, … latents. ``seen.json`` gets ``full`` and
``fraction`` of every token and ``main``, the number of main latents of every letter.

SAEBench computes absorption where it runs the model on prompts. Here a stand-in for the model answers each prompt with
the row of ``x`` that the prompt's word names, and one for the SAE with its codes; the arithmetic is SAEBench's own.
"""

from __future__ import annotations

import argparse
import json
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import torch
from sae_bench.evals.absorption.feature_absorption_calculator import FeatureAbsorptionCalculator
from sae_bench.evals.absorption.k_sparse_probing import add_feature_splits_to_metrics_df
from sae_bench.evals.absorption.vocab import LETTERS
from safetensors.torch import load_file
from torch import Tensor

LAYER = 0


class StandInModel:
    """Gives row n of ``x`` for a prompt that ends in ``word n:``, at every position."""

    def __init__(self, x: Tensor) -> None:
        self.x = x

    def to_tokens(self, text: str) -> Tensor:
        return torch.zeros(1, 4)

    def run_with_cache(self, prompts: list[str], names_filter: list[str]) -> tuple[None, dict[str, Tensor]]:
        rows = torch.tensor([int(prompt.rsplit("word ", 1)[1].removesuffix(":")) for prompt in prompts])
        return None, {names_filter[0]: self.x[rows][:, None].expand(-1, 4, -1)}


def stand_in_sae(x: Tensor, codes: Tensor, W_dec: Tensor) -> SimpleNamespace:
    def encode(rows: Tensor) -> Tensor:
        return codes[torch.cdist(rows, x).argmin(dim=1)]

    return SimpleNamespace(encode=encode, W_dec=W_dec, device=torch.device("cpu"), dtype=x.dtype)


def absorption(case: dict[str, Tensor]) -> tuple[list[bool], list[float]]:
    calculator = FeatureAbsorptionCalculator(StandInModel(case["x"]), icl_word_list=["example"], topk_feats=5)
    found = calculator.calculate_absorption(
        stand_in_sae(case["x"], case["codes"], case["W_dec"]),
        words=[f"word {n}" for n in range(len(case["x"]))],
        probe_direction=case["probe"],
        main_feature_ids=case["main"].tolist(),
        layer=LAYER,
        show_progress=False,
    )
    results = found.word_results
    return [bool(r.is_full_absorption) for r in results], [float(r.absorption_fraction) for r in results]


def main_latents(f1: Tensor) -> list[int]:
    letters, most = f1.shape
    columns: dict[str, list] = {"letter": list(LETTERS[:letters])}
    for k in range(1, most + 1):
        columns[f"f1_sparse_sae_{k}"] = f1[:, k - 1].tolist()
        columns[f"sparse_sae_k_{k}_feats"] = [np.arange(k)] * letters
    frame = pd.DataFrame(columns)
    # It asks for all 26 letters: those that were not given get the first one's figures.
    others = [frame.iloc[[0]].assign(letter=letter) for letter in LETTERS[letters:]]
    frame = pd.concat([frame, *others], ignore_index=True)
    add_feature_splits_to_metrics_df(frame, max_k_value=most, f1_jump_threshold=0.03)
    return [len(feats) for feats in frame["split_feats"][:letters]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", type=Path, required=True, help="the safetensors file")
    parser.add_argument("--out", type=Path, required=True, help="the JSON file to write")
    arguments = parser.parse_args()
    case = load_file(arguments.case)
    full, fraction = absorption(case)
    seen = {"full": full, "fraction": fraction, "main": main_latents(case["f1"]), "version": version("sae-bench")}
    arguments.out.write_text(json.dumps(seen))


if __name__ == "__main__":
    main()

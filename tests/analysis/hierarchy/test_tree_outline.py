from __future__ import annotations

import io

import pytest
import torch
from rich.console import Console

from msae.analysis.all_measurements import MEASUREMENTS
from msae.analysis.hierarchy.tree_outline import labels, tree_outline


def shown(part) -> str:
    console = Console(width=160, file=io.StringIO())
    console.print(part)
    return console.file.getvalue()


@pytest.fixture(scope="module")
def chain(from_codes):
    """0 ⊃ 1 ⊃ 2, and 3, a child of 0 alone."""
    codes = torch.zeros(400, 4)
    codes[:100, 0] = codes[:60, 1] = codes[:30, 2] = codes[70:95, 3] = 1
    codes = codes[torch.randperm(400, generator=torch.Generator().manual_seed(0))]
    collected = from_codes(codes, (1, 2, 4))
    return collected, {cls.name: cls().run(collected) for cls in MEASUREMENTS}


def test_a_child_stands_under_its_nearest_parent(chain):
    collected, results = chain
    lines = shown(tree_outline(results["tree"], collected.tables["features"])).splitlines()
    assert "4 edges" in lines[0] and "chance gives 0" in " ".join(lines[:3])
    branches = [line for line in lines if "(level" in line]
    depth = {int(line.split("(level")[0].strip("│├└─ ")): line.index("(level") for line in branches}
    assert depth[0] < depth[1] == depth[3] < depth[2]


def test_long_branches_are_cut_and_say_so(chain):
    collected, results = chain
    text = shown(tree_outline(results["tree"], collected.tables["features"], children=1, depth=2))
    assert "… and 1 more children" in text
    assert "… and 1 more branches" not in text


def test_every_measurement_renders_what_is_missing_as_such(chain):
    collected, results = chain
    texts = {cls.name: "".join(map(shown, cls().render(results[cls.name], collected.tables))) for cls in MEASUREMENTS}
    assert "4 edges" in texts["tree"] and "found again" in texts["level_pairs"]
    assert "0 → 1" in texts["splitting"] and "By chance: circular shifts within documents" in texts["splitting"]
    assert "n/a" in texts["absorption"] and "too few tokens" in texts["absorption"]


def test_token_text_is_shown_as_it_is(chain):
    import pyarrow as pa

    features = pa.table({"top_tokens": [["[bold]", "\n"], []], "top_token_ids": [[1, 2], [7]], "level": [0, 1]})
    label = labels(features)
    assert label(0).plain == "0 (level 0) «[bold]» «↵»"
    assert "[bold]" in shown(label(0))
    assert label(1).plain == "1 (level 1) token 7"

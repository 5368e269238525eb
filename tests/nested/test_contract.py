"""What every nested code keeps: prefixes, files, errors. The list that is walked is the one that loading reads."""

from __future__ import annotations

import json

import pytest
import torch

from msae.core.errors import CheckpointError, ConfigError, MsaeError
from msae.core.spec import SourceSpec
from msae.nested import CODES, PcaPrefix, halving_widths, load_code, save_code
from msae.nested.code import checked_widths

WIDTHS = (2, 4, 8)


def test_a_level_is_the_beginning_of_the_next(code, rows):
    assert code.widths == WIDTHS and code.n_levels == 3
    whole = code.transform(rows)
    assert whole.shape == (len(rows), 8) and torch.equal(whole, code.transform(rows, 2))
    for level, width in enumerate(WIDTHS):
        part = code.transform(rows, level)
        assert part.shape == (len(rows), width)
        if code.prefixes:
            assert torch.allclose(part, whole[:, :width], atol=1e-5)


def test_a_rows_code_does_not_depend_on_its_neighbours(code, rows):
    alone = torch.cat([code.transform(rows[i : i + 1], 1) for i in range(8)])
    assert torch.allclose(alone, code.transform(rows[:8], 1), atol=1e-5)


def test_rows_of_every_dtype_are_taken(code, rows):
    expected = code.transform(rows)
    for same in (rows.numpy(), rows.double(), rows.double().numpy()):
        assert torch.equal(code.transform(same), expected)
    assert torch.isfinite(code.transform(rows.half())).all()


def test_bytes_grow_with_the_level(code):
    sizes = [code.bytes_per_item(level) for level in range(3)]
    assert 0 < sizes[0] < sizes[1] < sizes[2] == code.bytes_per_item()


def test_what_is_saved_is_loaded(code, rows, tmp_path):
    path = save_code(code, tmp_path / "code")
    again = load_code(path)
    assert type(again) is type(code) and (again.widths, again.d_in, again.source) == (
        code.widths,
        code.d_in,
        code.source,
    )
    for level in range(3):
        assert torch.equal(again.transform(rows, level), code.transform(rows, level))
        assert again.bytes_per_item(level) == code.bytes_per_item(level)
    save_code(again, path)  # over itself
    assert torch.equal(load_code(path).transform(rows), code.transform(rows))


def test_rows_and_levels_that_do_not_fit_are_refused(code, rows):
    with pytest.raises(ConfigError, match=r"rows has shape \(96, 5\)"):
        code.transform(rows[:, :5])
    for level in (-1, 3):
        with pytest.raises(ConfigError, match=r"levels 0 … 2 of widths \[2, 4, 8\]"):
            code.transform(rows, level)
    assert code.level_of(4) == 1
    with pytest.raises(ConfigError, match=r"width = 5: .*\[2, 4, 8\]"):
        code.level_of(5)


def test_numbers_that_were_replaced_are_refused(code, tmp_path):
    path = save_code(code, tmp_path / "code")
    for file in sorted(path.rglob("*.safetensors")):
        if file.name == "probe.safetensors":
            continue
        whole = file.read_bytes()
        file.write_bytes(whole[:-4] + bytes(4) if whole[-4:] != bytes(4) else whole[:-4] + b"\x00\x00\x80\x3f")
        with pytest.raises(CheckpointError, match="saved"):
            load_code(path)
        file.write_bytes(whole)
    load_code(path)


@pytest.mark.parametrize("damage", ["no code.json", "another type", "no numbers", "cut numbers", "settings"])
def test_a_damaged_folder_is_no_code(damage, rows, tmp_path):
    path = save_code(PcaPrefix.fit(rows, WIDTHS), tmp_path / "code")
    about = json.loads((path / "code.json").read_text())
    numbers = path / "code.safetensors"
    match damage:
        case "no code.json":
            (path / "code.json").unlink()
        case "another type":
            (path / "code.json").write_text(json.dumps(about | {"type": "PcaPrefixes"}))
        case "no numbers":
            numbers.unlink()
        case "cut numbers":
            numbers.write_bytes(numbers.read_bytes()[:100])
        case "settings":
            (path / "code.json").write_text(json.dumps(about | {"settings": {"widths": [4, 2]}}))
    with pytest.raises(CheckpointError) as caught:
        load_code(path)
    assert "\n" not in str(caught.value)
    if damage == "another type":
        assert "did you mean 'PcaPrefix'" in str(caught.value)


def test_nothing_that_is_no_code_is_written_over(rows, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match="is not a code"):
        save_code(PcaPrefix.fit(rows, WIDTHS), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_source_is_kept(rows, tmp_path):
    code = PcaPrefix.fit(rows, WIDTHS)
    code.source = SourceSpec(kind="array", model="a", hook_name="rows", d_in=12)
    assert load_code(save_code(code, tmp_path / "code")).source == code.source


def test_every_class_has_a_name_of_its_own_and_says_what_it_is():
    assert len({cls.__name__ for cls in CODES}) == len(CODES)
    assert all(cls.__doc__ for cls in CODES)


@pytest.mark.parametrize("widths", [(), (0, 2), (4, 2), (2, 2), (2, 13)])
def test_widths_that_do_not_grow_or_are_too_many_are_refused(widths):
    with pytest.raises(MsaeError, match="widths"):
        checked_widths(widths, 12)


def test_widths_halve():
    assert halving_widths(384) == (12, 24, 48, 96, 192, 384)
    assert halving_widths(100, smallest=50) == (50, 100) and halving_widths(3) == (3,)

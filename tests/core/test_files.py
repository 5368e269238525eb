from __future__ import annotations

import contextlib
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from msae.core.errors import CheckpointError, DiskError, MsaeError
from msae.core.files import MAX_DEPTH, parse_json, read_json, write_json


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not readable JSON"),
        ("{", "not readable JSON"),
        ("null", "holds NoneType where an object belongs"),
        ("[1]", "holds list where an object belongs"),
        ('"text"', "holds str"),
        ('{"a": NaN}', "NaN, which is not JSON"),
        ('{"a": -Infinity}', "-Infinity, which is not JSON"),
        ('{"a": 1e999}', "beyond the range of numbers"),
        ('{"a": ' + "9" * 5000 + "}", "not readable JSON"),
        ('{"a": "\\ud800"}', "not readable JSON"),
        ('{"\\ud800": 1}', "not readable JSON"),
        ('{"a":' * (MAX_DEPTH + 1) + "1" + "}" * (MAX_DEPTH + 1), "nested deeper than"),
        ('{"a":' * 100_000 + "1" + "}" * 100_000, "nested too deeply"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_json_that_cannot_be_used_is_the_callers_error(tmp_path, text, said):
    path = tmp_path / "config.json"
    path.write_text(text)
    with pytest.raises(CheckpointError, match=f"{said}.*: copy it again") as caught:
        read_json(path, CheckpointError, hint="copy it again")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: None, "does not exist"),
        (lambda path: path.mkdir(), "cannot be read"),
        (lambda path: path.write_bytes(b"\xff\xfe"), "cannot be read"),
        (lambda path: path.symlink_to(path), "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_read_is_the_callers_error(tmp_path, make, said):
    make(tmp_path / "x.json")
    with pytest.raises(CheckpointError, match=said):
        read_json(tmp_path / "x.json", CheckpointError)


def test_names_that_are_no_files(tmp_path):
    (tmp_path / "file").touch()
    for path in (tmp_path / ("n" * 300), tmp_path / "file" / "x.json"):
        with pytest.raises(CheckpointError):
            read_json(path, CheckpointError)
        with pytest.raises(DiskError, match="could not write"):
            write_json(path, {})


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(st.text(), VALUES, max_size=4))
def test_what_is_written_is_what_is_read(tmp_path_factory, value):
    path = tmp_path_factory.mktemp("json") / "value.json"
    write_json(path, value)
    assert read_json(path, MsaeError) == value


@given(st.text())
def test_any_text_is_json_or_the_callers_error(text):
    with contextlib.suppress(CheckpointError):
        parse_json(text, "it", CheckpointError)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_rights(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(DiskError, match="check the disk and its rights"):
        write_json(tmp_path / "x.json", {})
    tmp_path.chmod(0o700)

"""Which files a pattern names, and reading them, compressed or not."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import pyarrow as pa
import pytest

from msae.core.errors import CorpusError
from msae.data.documents import csv_documents, jsonl_documents, parquet_documents, text_documents
from msae.data.text_files import matching_files, shown


def compressed(path: Path, content: bytes) -> Path:
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(content))
    elif path.suffix == ".zst":
        with pa.CompressedOutputStream(str(path), "zstd") as file:
            file.write(content)
    else:
        path.write_bytes(content)
    return path


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
def test_compressed_files_are_read_to_the_character(tmp_path, suffix):
    text = "one\r\ntwo\n\u2028 größer\x85 四つ目\n"
    path = compressed(tmp_path / f"a.txt{suffix}", b"\xef\xbb\xbf" + text.encode())
    (document,) = text_documents(path)
    assert document.text == text and document.name == str(path)
    rows = [{"text": "a\nb"}, {"text": "\u2028"}, {"text": "c"}]
    lines = compressed(
        tmp_path / f"a.jsonl{suffix}",
        "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode(),
    )
    assert [document.text for document in jsonl_documents(lines)] == ["a\nb", "\u2028", "c"]
    table = compressed(tmp_path / f"a.csv{suffix}", b'id,text\n1,"a\nb"\n2,c\n')
    assert [document.text for document in csv_documents(table)] == ["a\nb", "c"]


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
@pytest.mark.parametrize("damage", ["cut", "no such format", "empty"])
def test_a_damaged_compressed_file_is_named(tmp_path, suffix, damage):
    path = compressed(tmp_path / f"a.txt{suffix}", b"some text " * 1000)
    content = path.read_bytes()
    path.write_bytes({"cut": content[: len(content) // 2], "no such format": b"plain text", "empty": b""}[damage])
    try:
        found = [document.text for document in text_documents(path)]
    except CorpusError as error:
        assert str(path) in str(error)
    else:
        assert damage == "empty" and found == [""]


def test_links_that_lead_round_in_circles_end(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "one.txt").write_text("1")
    (tmp_path / "a" / "b" / "two.txt").write_text("2")
    (tmp_path / "a" / "b" / "up").symlink_to(tmp_path / "a")
    (tmp_path / "a" / "itself").symlink_to(tmp_path / "a" / "itself")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "three.txt").write_text("3")
    (tmp_path / "a" / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "a" / ".hidden").mkdir()
    (tmp_path / "a" / ".hidden" / "four.txt").write_text("4")
    texts = [document.text for document in text_documents(tmp_path / "a" / "**" / "*.txt")]
    assert sorted(texts) == ["1", "2", "3"], "each once, those behind a link too"


def test_a_name_that_is_no_utf8_is_shown_and_read(tmp_path):
    name = os.fsencode(tmp_path) + b"/caf\xe9.txt"
    try:
        Path(os.fsdecode(name)).write_text("text")
    except OSError:
        pytest.skip("this file system takes no such name")
    (path,) = matching_files([tmp_path / "*.txt"])
    assert shown(path).endswith("/caf\\xe9.txt")
    (document,) = text_documents(tmp_path / "*.txt")
    assert document.text == "text" and document.name.encode("utf-8").endswith(b"caf\\xe9.txt")


def test_rows_without_text_are_left_out_by_choice_and_counted(tmp_path):
    import pyarrow.parquet as pq

    rows = [{"text": "a"}, {"text": None}, {"text": "b"}]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    for read, path in ((jsonl_documents, "a.jsonl"), (parquet_documents, "a.parquet")):
        with pytest.raises(CorpusError, match=r"NoneType None.*or leave them out with nulls='skip'"):
            list(read(tmp_path / path))
        documents = read(tmp_path / path, nulls="skip")
        for _ in range(2):
            assert [document.text for document in documents] == ["a", "b"] and documents.skipped == 1

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from msae.core.errors import CorpusError
from msae.data.documents import (
    Document,
    Documents,
    dataset_documents,
    jsonl_documents,
    parquet_documents,
    string_documents,
    text_documents,
)

TEXTS = ["first text", "zweiter Text: größer", "", "四つ目\nwith a second line"]


def write_texts(folder: Path) -> Documents:
    for number, text in enumerate(TEXTS):
        (folder / f"{number}.txt").write_text(text, encoding="utf-8")
    return text_documents(folder / "*.txt")


def write_jsonl(folder: Path) -> Documents:
    lines = [json.dumps({"id": number, "text": text}) for number, text in enumerate(TEXTS)]
    (folder / "a.jsonl").write_text("\n".join([*lines[:2], "", *lines[2:]]) + "\n", encoding="utf-8")
    return jsonl_documents(folder / "a.jsonl")


def write_parquet(folder: Path, column: str = "text") -> Documents:
    table = pyarrow.table({"id": list(range(len(TEXTS))), column: TEXTS})
    pyarrow.parquet.write_table(table, folder / "a.parquet", row_group_size=2)
    return parquet_documents(folder / "a.parquet", text=column)


def map_style_dataset(folder: Path) -> Documents:
    from datasets import Dataset

    return dataset_documents(Dataset.from_dict({"text": TEXTS}))


def streamed_dataset(folder: Path) -> Documents:
    from datasets import Dataset

    return dataset_documents(Dataset.from_dict({"text": TEXTS}).to_iterable_dataset())


def dataset_by_name(folder: Path) -> Documents:
    write_jsonl(folder)
    return dataset_documents(folder)


EVERY_READER = [
    lambda folder: string_documents(TEXTS),
    lambda folder: string_documents(text for text in TEXTS),
    write_texts,
    write_jsonl,
    write_parquet,
    map_style_dataset,
    streamed_dataset,
    dataset_by_name,
]


@pytest.mark.parametrize("make", EVERY_READER)
def test_every_reader_gives_the_same_documents_each_time(make: Callable[[Path], Documents], tmp_path):
    documents = make(tmp_path)
    first, second = list(documents), list(documents)
    assert [document.text for document in first] == TEXTS
    assert first == second
    assert len({document.name for document in first}) == len(TEXTS)
    assert documents.description


def test_names_find_the_text_again(tmp_path):
    assert [document.name for document in write_texts(tmp_path)] == [str(tmp_path / f"{n}.txt") for n in range(4)]
    assert [document.name for document in write_jsonl(tmp_path)] == [f"{tmp_path}/a.jsonl:{n}" for n in (1, 2, 4, 5)]
    assert [document.name for document in write_parquet(tmp_path)] == [f"{tmp_path}/a.parquet#{n}" for n in range(4)]
    assert [document.name for document in string_documents(["a", "b"], name="note")] == ["note[0]", "note[1]"]


class TestTextFiles:
    def test_patterns_keep_their_order_files_are_sorted_and_read_once(self, tmp_path):
        for name in ("b.txt", "a.txt", "notes/c.txt"):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(name)
        documents = text_documents(tmp_path / "notes" / "*.txt", tmp_path / "**" / "*.txt")
        assert [document.text for document in documents] == ["notes/c.txt", "a.txt", "b.txt"]

    def test_a_file_whose_name_looks_like_a_pattern(self, tmp_path):
        (tmp_path / "part[1].txt").write_text("text")
        assert [document.text for document in text_documents(tmp_path / "part[1].txt")] == ["text"]

    def test_a_byte_order_mark_is_no_text(self, tmp_path):
        (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfhello")
        assert list(text_documents(tmp_path / "a.txt")) == [Document(str(tmp_path / "a.txt"), "hello")]

    def test_bytes_that_are_not_utf8_are_named_or_replaced(self, tmp_path):
        (tmp_path / "a.txt").write_bytes(b"caf\xe9 au lait")
        with pytest.raises(CorpusError, match=r"a\.txt is not UTF-8 text \(byte 0xe9 at 3\).*errors='replace'"):
            list(text_documents(tmp_path / "a.txt"))
        assert next(iter(text_documents(tmp_path / "a.txt", errors="replace"))).text == "caf\ufffd au lait"

    def test_a_pattern_that_matches_nothing_is_named_at_once(self, tmp_path):
        (tmp_path / "a.txt").write_text("text")
        with pytest.raises(CorpusError, match=r"no file matches '.*\*\.md'"):
            text_documents(tmp_path / "*.txt", tmp_path / "*.md")

    def test_a_folder_gets_a_hint(self, tmp_path):
        with pytest.raises(CorpusError, match=r"names a folder: try .*\*\*/\*\.txt"):
            text_documents(tmp_path)

    def test_no_pattern_at_all(self):
        with pytest.raises(CorpusError, match="no file was named"):
            text_documents()

    @pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
    def test_a_file_without_read_rights_is_named(self, tmp_path):
        (tmp_path / "a.txt").write_text("text")
        (tmp_path / "a.txt").chmod(0)
        with pytest.raises(CorpusError, match=r"could not read .*a\.txt"):
            list(text_documents(tmp_path / "a.txt"))

    def test_a_file_that_vanishes_is_named(self, tmp_path):
        documents = write_texts(tmp_path)
        (tmp_path / "1.txt").unlink()
        with pytest.raises(CorpusError, match=r"could not read .*1\.txt"):
            list(documents)


class TestJsonl:
    @pytest.mark.parametrize(
        ("line", "message"),
        [
            ('{"text": "cut off', r"a\.jsonl:2 is not JSON"),
            ('{"body": "x", "id": 1}', r"a\.jsonl:2 has no field 'text'; it has \['body', 'id'\]"),
            ('{"text": null}', r"a\.jsonl:2: field 'text' holds NoneType None"),
            ('{"text": 7}', r"a\.jsonl:2: field 'text' holds int 7"),
            ('["text"]', r"a\.jsonl:2 holds list"),
        ],
    )
    def test_a_bad_line_is_named(self, tmp_path, line, message):
        (tmp_path / "a.jsonl").write_text('{"text": "good"}\n' + line + "\n")
        with pytest.raises(CorpusError, match=message):
            list(jsonl_documents(tmp_path / "a.jsonl"))

    def test_lines_before_the_bad_one_are_given(self, tmp_path):
        (tmp_path / "a.jsonl").write_text('{"text": "good"}\n{\n')
        assert next(iter(jsonl_documents(tmp_path / "a.jsonl"))).text == "good"

    def test_another_field(self, tmp_path):
        (tmp_path / "a.jsonl").write_text('{"body": "x"}\n')
        assert [document.text for document in jsonl_documents(tmp_path / "a.jsonl", text="body")] == ["x"]

    def test_bytes_that_are_not_utf8(self, tmp_path):
        (tmp_path / "a.jsonl").write_bytes(b'{"text": "caf\xe9"}\n')
        with pytest.raises(CorpusError, match="not UTF-8"):
            list(jsonl_documents(tmp_path / "a.jsonl"))


class TestParquet:
    def test_a_missing_column_is_named_at_once(self, tmp_path):
        write_parquet(tmp_path, column="body")
        with pytest.raises(CorpusError, match=r"no column 'text'; it has \['id', 'body'\]"):
            parquet_documents(tmp_path / "a.parquet")

    def test_a_file_that_is_not_parquet(self, tmp_path):
        (tmp_path / "a.parquet").write_text("plain text")
        with pytest.raises(CorpusError, match=r"could not read .*a\.parquet as Parquet"):
            parquet_documents(tmp_path / "a.parquet")

    def test_a_null_is_named(self, tmp_path):
        pyarrow.parquet.write_table(pyarrow.table({"text": ["a", None]}), tmp_path / "a.parquet")
        with pytest.raises(CorpusError, match=r"a\.parquet#1: column 'text' holds NoneType"):
            list(parquet_documents(tmp_path / "a.parquet"))


class TestDatasets:
    def test_a_split_of_a_dictionary(self):
        from datasets import Dataset, DatasetDict

        splits = DatasetDict(train=Dataset.from_dict({"text": ["a"]}), test=Dataset.from_dict({"text": ["b"]}))
        assert [document.text for document in dataset_documents(splits, split="test")] == ["b"]
        with pytest.raises(CorpusError, match=r"no split 'validation'; it has \['test', 'train'\]"):
            dataset_documents(splits, split="validation")

    def test_a_missing_column_is_named_at_once(self):
        from datasets import Dataset

        with pytest.raises(CorpusError, match=r"no column 'text'; it has \['body'\]"):
            dataset_documents(Dataset.from_dict({"body": ["a"]}))

    def test_a_name_that_cannot_be_opened(self, monkeypatch):
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
        with pytest.raises(CorpusError, match="could not open data set 'nobody/nothing'"):
            dataset_documents("nobody/nothing")


def test_one_string_is_not_an_iterable_of_strings():
    with pytest.raises(CorpusError, match="one string"):
        string_documents("hello")


def test_an_item_that_is_not_text_is_named():
    documents = string_documents(item for item in ["a", 3])  # type: ignore[misc]
    with pytest.raises(CorpusError, match=r"text\[1\]: item holds int 3"):
        list(documents)

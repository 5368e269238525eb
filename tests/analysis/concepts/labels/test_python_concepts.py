"""What `tokenize` and `ast` say of small texts, by hand; of excerpts that begin and end anywhere too."""

from __future__ import annotations

import pytest

from msae.analysis.concepts.labels.first_letters import python_word_spans, word_spans
from msae.analysis.concepts.labels.python_concepts import KNOWN, PYTHON, PYTHON_CONCEPTS, python_spans
from msae.analysis.concepts.labels.python_runs import python_runs


def said(text: str) -> dict[str, list[str]]:
    data = text.encode()
    return {name: [data[a:b].decode() for a, b in spans] for name, spans in python_spans(text).by_name.items()}


WHOLE = '''import os.path as p
@cached
class Größe(Base):
    """Ä docstring."""

    def zähle(self, n: int = 3, *, scale=1.5) -> str:
        # alone
        if n == 0 and not self.done:
            return f"é{n}" + 'x'
        print(n, end="")
'''


def test_a_text_that_parses():
    found = said(WHOLE)
    assert found[PYTHON] == [WHOLE] == found[KNOWN]
    assert found["keyword"] == ["import", "as", "class", "def", "if", "and", "not", "return"]
    assert found["keyword not"] == ["not"]
    assert found["docstring"] == ['"""Ä docstring."""']
    assert found["f-string"] == ['f"é{n}"']
    assert found["string"] == ['"""Ä docstring."""', 'f"é{n}"', "'x'", '""']
    assert found["comment"] == ["# alone"]
    assert found["name of a function defined"] == ["zähle"]
    assert found["name of a class defined"] == ["Größe"]
    assert sorted(found["parameter"]) == ["n", "scale", "self"]
    assert found["name of a keyword argument"] == ["end"]
    assert found["attribute"] == ["path", "done"]
    assert found["name called"] == ["print"]
    assert found["builtin name"] == ["int", "str", "print"]
    assert found["self"] == ["self", "self"]
    assert (found["integer"], found["decimal fraction"]) == (["3", "0"], ["1.5"])
    assert found["comparison"] == ["=="]
    assert found["arithmetic"] == ["@", "*", "+"]
    assert found["inside a decorator"] == ["cached"]
    assert sorted(found["inside an annotation"]) == ["int", "str"]
    assert found["inside a condition"] == ["n == 0 and not self.done"]
    assert found["inside an import"] == ["import os.path as p"]
    assert found["inside arguments of a call"] == ["n", 'end=""']
    assert [part.splitlines()[0] for part in found["inside a class"]] == ['"""Ä docstring."""']
    assert (
        [part.split()[0] for part in found["inside a method"]]
        == ["if"]
        == [part.split()[0] for part in found["inside a function"]]
    )


def test_indentation_by_line():
    found = said(WHOLE)
    first_words = {depth: [part.split()[0] for part in found[f"indented {depth}"]] for depth in (1, 2, 3)}
    assert first_words == {1: ['"""Ä', "def"], 2: ["#", "if", "print(n,"], 3: ["return"]}
    assert len(found["indented"]) == 6
    assert len(found["block begins"]) == 3 and len(found["block ends"]) == 1  # the end of the text ends none
    assert found["blank line"] == ["\n"]


def test_an_excerpt_from_inside_a_method():
    text = "        return x\n\n    def g(self):\n        pass\n\nz = 1\nclass B:\n    y = 2\n"
    found = said(text)
    assert found[PYTHON] == [text]
    assert found[KNOWN] == ["z = 1\nclass B:\n    y = 2\n"]
    assert found["indented 2"] == ["return x", "pass"]
    assert found["inside a class"] == ["y = 2"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("still prose of a docstring,\nthat ends here.\n'''\nx = 1\ny = 2\nz = 3\n", "x = 1\ny = 2\nz = 3\n"),
        ("a = 1\nb = 2\nc = 3\nd = [1,\n", "a = 1\nb = 2\nc = 3\n"),
        ("a = 1\nb = 2\nc = 3\nprint 'two'\nd = 1\ne = 2\nf = 3\n", "a = 1\nb = 2\nc = 3\n"),
        ("one two three\nfour five six\nseven eight\n", None),
        ("", None),
        ("x = 'caf\0e'\n" * 3, "x = 'caf\0e'\n" * 3),
        ("a = 1\r\nb = 2\r\nc = 3\r\n", "a = 1\r\nb = 2\r\nc = 3\r\n"),
        ("a = 1\rb = 2\nc = 3\n\x0cd = 4\n", "c = 3\n\x0cd = 4\n"),
    ],
    ids=["prose first", "cut off", "another language", "prose", "empty", "null", "windows", "odd line ends"],
)
def test_broken_text_is_labelled_where_it_parses(text, expected):
    found = said(text).get(PYTHON, [None])
    assert found[0] == expected if expected != "c = 3\n\x0cd = 4\n" else found == [None]


def test_what_comes_after_broken_lines_is_a_run_of_its_own():
    runs = python_runs(["a = 1\n", "b = 2\n", "c = 3\n", "print 'two'\n", "d = 1\n", "e = 2\n", "f = 3\n"])
    assert [(run.first, run.stop) for run in runs] == [(0, 3), (4, 7)]


def test_every_span_is_of_a_concept():
    names = {concept.name for concept in PYTHON_CONCEPTS} | {PYTHON, KNOWN}
    assert said(WHOLE).keys() <= names


def test_children_lie_within_their_parents():
    spans = python_spans(WHOLE).by_name
    inside = {concept.name: concept.parent for concept in PYTHON_CONCEPTS if concept.parent}
    for child, parent in inside.items():
        for a, b in spans.get(child, []):
            covered = any(start <= a and b <= stop for start, stop in spans[parent])
            assert covered or child == "name imported"  # whose span holds dots too: rows are cut to the parent's


def test_first_letters_of_python():
    text = '_private = Élan.get_value()  # Two words, 3rd ßharp\nif x:\n    r"""Raw doc."""\n'
    data, spans = text.encode(), python_word_spans(text).by_name
    letters = {name: [data[a:b].decode() for a, b in places] for name, places in spans.items()}
    assert letters["first letters, names"] == ["p", "É", "g", "x"]
    assert letters["first letters, keywords"] == ["i"]
    assert letters["first letters, words in comments"] == ["T", "w", "r", "ß"]
    assert letters["g… (names)"] == ["g"] and letters["t… (words in comments)"] == ["T"]
    assert "é… (names)" not in letters


def test_first_letters_of_any_text():
    spans = word_spans("Ünder The 2 trees, don't").by_name
    assert len(spans["first letters, words"]) == 5
    assert spans["t… (words)"] == [(7, 8), (13, 14), (24, 25)]

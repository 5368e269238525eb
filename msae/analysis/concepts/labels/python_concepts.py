"""What the standard library's own `tokenize` and `ast` say about Python text, as concepts with known parents."""

from __future__ import annotations

import ast
import builtins
import io
import keyword
import re
import tokenize
from collections.abc import Iterator, Sequence

from msae.analysis.concepts.labels.labelled_rows import Concept
from msae.analysis.concepts.labels.python_runs import Run, python_runs
from msae.analysis.concepts.labels.spans import ByteLines, Spans

PYTHON, KNOWN = "Python that parses", "Python whose surroundings are known"
FAMILY = "Python"
BUILTINS = frozenset(dir(builtins)) - frozenset(keyword.kwlist)
DEEPEST = 4

_SIGNS = {
    "opening bracket": "( [ {",
    "closing bracket": ") ] }",
    "comma": ",",
    "colon": ":",
    "dot": ".",
    "assignment": "= += -= *= /= //= %= @= &= |= ^= >>= <<= **= :=",
    "comparison": "== != < > <= >=",
    "arithmetic": "+ - * / // % ** @ & | ^ ~ << >>",
}
_SIGN_KIND = {sign: kind for kind, signs in _SIGNS.items() for sign in signs.split()}
_CHILDREN = {
    "name": (
        *("name of a function defined", "name of a class defined", "parameter", "attribute", "name called"),
        *("name of a keyword argument", "name imported", "builtin name", "self"),
    ),
    "string": ("docstring", "f-string"),
    "number": ("integer", "decimal fraction"),
    "operator": ("bracket", *(kind for kind in _SIGNS if not kind.endswith("bracket"))),
    "bracket": ("opening bracket", "closing bracket"),
    "line break": ("block begins", "block ends", "blank line"),
    "indented": tuple(
        f"indented {depth}" + (" or more" if depth == DEEPEST else "") for depth in range(1, DEEPEST + 1)
    ),
}
_INSIDE = ("an import", "a decorator", "an annotation", "a condition", "arguments of a call")
_ROOTS = ("keyword", "name", "string", "comment", "number", "operator", "line break", "indented")

PYTHON_CONCEPTS: tuple[Concept, ...] = (
    *(Concept(name=name, family=FAMILY, within=PYTHON) for name in _ROOTS),
    *(Concept(name=f"keyword {word}", family=FAMILY, within=PYTHON, parent="keyword") for word in keyword.kwlist),
    *(
        Concept(name=child, family=FAMILY, within=PYTHON, parent=parent)
        for parent, children in _CHILDREN.items()
        for child in children
    ),
    *(Concept(name=f"inside {what}", family=FAMILY, within=PYTHON) for what in _INSIDE),
    Concept(name="inside a class", family=FAMILY, within=KNOWN),
    Concept(name="inside a method", family=FAMILY, within=KNOWN, parent="inside a class"),
    Concept(name="inside a function", family=FAMILY, within=KNOWN),
)
"""All of them; the keywords are those of the Python that runs this."""


def python_spans(text: str) -> Spans:
    """The spans of `PYTHON_CONCEPTS` in the parts of `text` that parse, and of the two sets of rows they lie within."""
    lines = source_lines(text)
    at, spans = ByteLines(lines), Spans()
    for run in python_runs(lines):
        end = at.of_bytes(run.stop, 0)
        spans.add(PYTHON, at.of_bytes(run.first, 0), end)
        spans.add(KNOWN, at.of_bytes(run.known, 0), end)
        _Lexical(run, at, spans).read()
        _Structural(run, at, spans).read()
    return spans


def unknown_python(text: str, starts: Sequence[int]) -> Spans:
    """What a reader who begins at each of `starts` (bytes) cannot tell of Python: what the line is that it begins
    within, and, up to the next line at the margin, whether it is inside a class or a function."""
    data, spans = text.encode(), Spans()
    for start in starts:
        if data[start - 1 : start] != b"\n":
            spans.add(PYTHON, start, _found(_LINE_END, data, start))
        spans.add(KNOWN, start, _found(_AT_MARGIN, data, start))
    return spans


_LINE_END = re.compile(rb"\n")
_AT_MARGIN = re.compile(rb"\n(?=[A-Za-z_@])")


def _found(pattern: re.Pattern[bytes], data: bytes, start: int) -> int:
    """Behind the first match at or after `start` (or just before it); the end of the text where there is none."""
    match = pattern.search(data, max(start - 1, 0))
    return match.end() if match else len(data)


def source_lines(text: str) -> list[str]:
    """The lines as Python counts them. What would end a line or a text and is no line feed becomes a blank."""
    return re.split(r"(?<=\n)(?!\Z)", re.sub(r"\r(?!\n)|[\0\x0c]", " ", text))


def python_tokens(run: Run) -> Iterator[tokenize.TokenInfo]:
    """The tokens of a run's source; those before an error, if there is one."""
    try:
        yield from tokenize.generate_tokens(io.StringIO("".join(run.source), newline="").readline)
    except (tokenize.TokenError, SyntaxError):
        return


class _Lexical:
    """Reads a run token by token."""

    def __init__(self, run: Run, at: ByteLines, spans: Spans) -> None:
        self.run, self.at, self.spans = run, at, spans
        self.indents: list[int] = []
        self.line_start: tuple[int, int] | None = None
        self.last_newline: tokenize.TokenInfo | None = None

    def read(self) -> None:
        """Add the spans of everything that `tokenize` distinguishes."""
        tokens = list(_whole_strings(python_tokens(self.run)))
        for before, token, after in zip([None, *tokens], tokens, [*tokens[1:], None], strict=False):
            if token.type == tokenize.INDENT:
                self.indents.append(len(token.string))
                self._add("block begins", self.last_newline)
            elif token.type == tokenize.DEDENT:
                self.indents.pop()
                if token.start[0] <= len(self.run.source):  # the end of the text ends no block
                    self._add("block ends", self.last_newline)
            elif token.start[0] > self.run.header:
                for name in _kinds(before, token, after):
                    self._add(name, token)
                self._line(token)

    def _line(self, token: tokenize.TokenInfo) -> None:
        """How deep a line stands: a statement, or a comment by itself."""
        if token.type in (tokenize.NL, tokenize.ENDMARKER):
            return
        if token.type == tokenize.NEWLINE:
            self.last_newline = token
        if self.line_start is None:
            self.line_start = token.start
        by_itself = token.type == tokenize.COMMENT and self.line_start == token.start
        if token.type == tokenize.NEWLINE or by_itself:
            column = self.line_start[1]
            depth = sum(0 < indent <= column for indent in self.indents)
            depth += column > max(self.indents, default=0)  # a comment above the first statement of a block
            for name in _depths(depth):
                self.spans.add(name, self._byte(self.line_start), self._byte(token.end if by_itself else token.start))
            self.line_start = None

    def _add(self, name: str, token: tokenize.TokenInfo | None) -> None:
        if token is not None:
            self.spans.add(name, self._byte(token.start), self._byte(token.end))

    def _byte(self, place: tuple[int, int]) -> int:
        line, column = place
        return self.at.of_characters(self.run.first + line - 1 - self.run.header, column)


def _kinds(before: tokenize.TokenInfo | None, token: tokenize.TokenInfo, after: tokenize.TokenInfo | None) -> list[str]:
    match token.type:
        case tokenize.NAME:
            return _names(before, token, after)
        case tokenize.STRING:
            prefix = token.string.partition(token.string[-1])[0]
            return ["string", "f-string"] if "f" in prefix.lower() else ["string"]
        case tokenize.COMMENT:
            return ["comment"]
        case tokenize.NUMBER:
            whole = token.string.isdecimal() or token.string.startswith("0")
            return ["number", "integer" if whole and "." not in token.string else "decimal fraction"]
        case tokenize.OP:
            return _operators(token.string)
        case tokenize.NEWLINE | tokenize.NL:
            blank = after is not None and after.type == tokenize.NL and not after.line.strip()
            return ["line break", "blank line"] if blank else ["line break"]
    return []


def _whole_strings(tokens: Iterator[tokenize.TokenInfo]) -> Iterator[tokenize.TokenInfo]:
    """From Python 3.12 on an f-string comes in pieces; put together, it is a string as it was before."""
    opening, closing = (getattr(tokenize, f"FSTRING_{end}", None) for end in ("START", "END"))
    nested: list[tokenize.TokenInfo] = []
    for token in tokens:
        if opening is not None and token.type == opening:
            nested.append(token)
        elif nested and token.type == closing:
            start = nested.pop()
            if not nested:
                whole = start.string + token.string
                yield tokenize.TokenInfo(tokenize.STRING, whole, start.start, token.end, start.line)
        elif not nested:
            yield token


def _names(before: tokenize.TokenInfo | None, token: tokenize.TokenInfo, after: tokenize.TokenInfo | None) -> list[str]:
    word = token.string
    if keyword.iskeyword(word):
        return ["keyword", f"keyword {word}"]
    out = ["name"]
    dotted = before is not None and before.string == "."
    defines = before is not None and before.string in ("def", "class")
    if dotted:
        out.append("attribute")
    if after is not None and after.string == "(" and not defines:
        out.append("name called")
    if word in BUILTINS and not dotted:
        out.append("builtin name")
    if word == "self":
        out.append("self")
    if before is not None and defines:
        out.append(f"name of a {'function' if before.string == 'def' else 'class'} defined")
    return out


def _operators(sign: str) -> list[str]:
    kind = _SIGN_KIND.get(sign)
    return ["operator", *(["bracket"] if kind and kind.endswith("bracket") else []), *([kind] if kind else [])]


def _depths(depth: int) -> list[str]:
    return ["indented", _CHILDREN["indented"][min(depth, DEEPEST) - 1]] if depth > 0 else []


class _Structural:
    """Adds what only the tree of a run knows."""

    def __init__(self, run: Run, at: ByteLines, spans: Spans) -> None:
        self.run, self.at, self.spans = run, at, spans

    def read(self) -> None:
        """Add the spans of everything that `ast` distinguishes."""
        methods = {
            id(method)
            for node in ast.walk(self.run.tree)
            if isinstance(node, ast.ClassDef)
            for method in node.body
            if isinstance(method, ast.FunctionDef | ast.AsyncFunctionDef)
        }
        for node in ast.walk(self.run.tree):
            for name, start, stop in _parts(node, id(node) in methods):
                if start[0] > self.run.header:
                    self.spans.add(name, self._byte(start), self._byte(stop))

    def _byte(self, place: tuple[int, int]) -> int:
        line, column = place
        return self.at.of_bytes(self.run.first + line - 1 - self.run.header, column)


_Place = tuple[int, int]


def _parts(node: ast.AST, is_method: bool) -> Iterator[tuple[str, _Place, _Place]]:
    """The spans a node gives, from (line, byte) to (line, byte)."""
    match node:
        case ast.Module():
            yield from _docstring(node.body)
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            yield from _docstring(node.body)
            yield from (_whole("inside a decorator", decorator) for decorator in node.decorator_list)
            yield from ([_whole("inside an annotation", node.returns)] if node.returns else [])
            yield _body("inside a function", node)
            if is_method:
                yield _body("inside a method", node)
        case ast.ClassDef():
            yield from _docstring(node.body)
            yield from (_whole("inside a decorator", decorator) for decorator in node.decorator_list)
            yield _body("inside a class", node)
        case ast.arg(arg=name, annotation=annotation):
            yield _beginning("parameter", node, name)
            yield from ([_whole("inside an annotation", annotation)] if annotation else [])
        case ast.keyword(arg=str(name)):
            yield _beginning("name of a keyword argument", node, name)
        case ast.Import() | ast.ImportFrom():
            yield _whole("inside an import", node)
            yield from (_whole("name imported", alias) for alias in node.names)
        case ast.If() | ast.While() | ast.IfExp() | ast.Assert():
            yield _whole("inside a condition", node.test)
        case ast.AnnAssign():
            yield _whole("inside an annotation", node.annotation)
        case ast.Call():
            yield from (_whole("inside arguments of a call", part) for part in node.args)
            yield from (_whole("inside arguments of a call", part) for part in node.keywords)


def _docstring(body: list[ast.stmt]) -> Iterator[tuple[str, _Place, _Place]]:
    if body and isinstance(body[0], ast.Expr):
        value = body[0].value
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            yield _whole("docstring", value)


def _whole(name: str, node: ast.expr | ast.stmt | ast.alias | ast.keyword) -> tuple[str, _Place, _Place]:
    return name, (node.lineno, node.col_offset), (node.end_lineno or 0, node.end_col_offset or 0)


def _beginning(name: str, node: ast.arg | ast.keyword, word: str) -> tuple[str, _Place, _Place]:
    return name, (node.lineno, node.col_offset), (node.lineno, node.col_offset + len(word.encode()))


def _body(name: str, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> tuple[str, _Place, _Place]:
    """From the first statement of the body, or the decorator above it, to its end."""
    first = node.body[0]
    decorators = getattr(first, "decorator_list", [])
    start = min((part.lineno, part.col_offset) for part in (first, *decorators))
    return name, start, (node.end_lineno or 0, node.end_col_offset or 0)

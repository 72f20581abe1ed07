"""Docstrings: English text with a known place, found by parsing source files.

A file that is not Python of this version, or not text, has no docstrings. Nothing is imported but
modules written in C, which have no source. Which modules are worth reading is for `library` and
`packages` to say.
"""

import ast
import importlib
import inspect
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SHORTEST = 60  # characters; below that a docstring says next to nothing
_LARGEST = 300_000  # bytes of a source file; larger ones are generated tables

_Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True, kw_only=True)
class Docstring:
    """One docstring, cleaned of its indentation, and where it stands."""

    module: str  # dotted
    qualname: str  # '' for the module itself
    file: str  # relative to the folder that holds the top-level module; '' for modules written in C
    line: int  # of the definition, from 1; 0 for modules written in C
    text: str

    @property
    def id(self) -> str:
        """Unique in a corpus: overloads and property setters share a name, but not a line."""
        return f"{self.module}:{self.qualname}:{self.line}"


def of_file(path: Path, root: Path) -> Iterator[Docstring]:
    """The docstrings of one source file below `root`, front to back."""
    tree = _parse(path)
    if tree is None:
        return
    relative = path.relative_to(root)
    module = module_name(relative)
    for qualname, node in _definitions(tree, ""):
        text = _clean(ast.get_docstring(node, clean=False))
        if text is not None:
            line = getattr(node, "lineno", 1)
            yield Docstring(
                module=module, qualname=qualname, file=relative.as_posix(), line=line, text=text
            )


def of_c_module(name: str) -> Iterator[Docstring]:
    """The docstrings of a module without source, its functions, its classes and their methods."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecated modules say so when they are imported
        module = importlib.import_module(name)
    for qualname, value in _members(module):
        text = _clean(inspect.getdoc(value))
        if text is not None:
            yield Docstring(module=name, qualname=qualname, file="", line=0, text=text)


def module_name(relative: Path) -> str:
    """`email/mime/__init__.py` -> `email.mime`."""
    parts = relative.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _parse(path: Path) -> ast.Module | None:
    if path.stat().st_size > _LARGEST:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # other people's invalid escapes
        try:
            return _tree(path.read_bytes())
        except (SyntaxError, ValueError, RecursionError):
            return None


def _tree(source: bytes) -> ast.Module:
    try:
        return ast.parse(source)
    except SystemError:
        # CPython 3.11 loses count of its depth where another thread, or a finalizer, parses too:
        # "AST constructor recursion depth mismatch". The source is not at fault.
        return ast.parse(source)


def _definitions(node: ast.AST, qualname: str) -> Iterator[tuple[str, _Documented]]:
    """Module, classes and functions outside functions, in the order of the source."""
    if isinstance(node, _Documented):
        yield qualname, node
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return
    for child in ast.iter_child_nodes(node):
        if isinstance(child, _Documented):
            yield from _definitions(child, f"{qualname}.{child.name}".removeprefix("."))  # type: ignore[union-attr] # a module has no parent
        elif isinstance(child, ast.If | ast.Try | ast.With):
            yield from _definitions(child, qualname)


def _members(module: object) -> Iterator[tuple[str, object]]:
    yield "", module
    for name, value in sorted(vars(module).items()):
        if name.startswith("_"):
            continue
        if inspect.isroutine(value):
            yield name, value
        elif inspect.isclass(value):
            yield name, value
            yield from (
                (f"{name}.{key}", member)
                for key, member in sorted(vars(value).items())
                if inspect.isroutine(member) and not key.startswith("_")
            )


def _clean(text: str | None) -> str | None:
    """The text without indentation; None where it is too short, or no UTF-8 (lone surrogates)."""
    cleaned = inspect.cleandoc(text) if text else ""
    if len(cleaned) < SHORTEST or any("\ud800" <= char <= "\udfff" for char in cleaned):
        return None
    return cleaned

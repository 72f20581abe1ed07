"""Document: YAML text as a mapping, without the traps of YAML.

PyYAML lets the last of two equal keys win, and makes True of a key `on`, a date of 2026-01-01 and
text of 1e-3, and takes the two halves of a character that JSON escapes (an emoji) for two. Here
equal keys and keys that are not text are refused, a date is text, 1e-3 a number, and two halves are
one character. Errors name line and column. What the settings mean is not known here.
"""

import re
from typing import Any

import yaml
from typing_extensions import override

from labelmill.errors import ConfigError

_TEXT = "tag:yaml.org,2002:str"
_MERGE = "tag:yaml.org,2002:merge"
_FLOAT = "tag:yaml.org,2002:float"
_DATE = "tag:yaml.org,2002:timestamp"
_UNWANTED = {_DATE, *(f"tag:yaml.org,2002:{name}" for name in ("binary", "omap", "pairs", "set"))}


class _Loader(yaml.SafeLoader):
    # A date that does not exist (2026-13-45) is a bare ValueError deep inside PyYAML.
    yaml_implicit_resolvers = {  # noqa: RUF012 - PyYAML's name, and its way to be set
        first: [(tag, pattern) for tag, pattern in resolvers if tag != _DATE]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    yaml_constructors = {  # noqa: RUF012 - as above
        tag: constructor
        for tag, constructor in yaml.SafeLoader.yaml_constructors.items()
        if tag not in _UNWANTED
    }

    @override
    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen: set[str] = set()
        for key, _ in node.value:
            self._check_key(key, seen)
            seen.add(key.value)
        return node

    @override
    def construct_scalar(self, node: Any) -> Any:
        value = super().construct_scalar(node)
        try:
            return value.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError as err:
            problem = f"{value!r} holds half of a character; write all of it"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark) from err

    @staticmethod
    def _check_key(key: yaml.Node, seen: set[str]) -> None:
        if key.tag not in (_TEXT, _MERGE):
            shown = repr(key.value) if isinstance(key, yaml.ScalarNode) else "here"
            problem = f"the key {shown} is not text; put it in quotes"
            raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
        if key.value in seen:
            problem = f"the key {key.value!r} is given twice; keep one"
            raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)


_Loader.add_implicit_resolver(
    _FLOAT, re.compile(r"[-+]?[0-9]+[eE][-+]?[0-9]+\Z"), list("-+0123456789")
)


def parse_mapping(data: bytes, place: str) -> dict[str, object]:
    """The settings of a job file; raises ConfigError that names `place`, line and column."""
    value = parse_value(_decoded(data, place), place)
    if value is None:
        raise ConfigError(
            f"{place}: the file is empty; a job file has at least task, model, source and output"
        )
    if not isinstance(value, dict):
        raise ConfigError(f"{place}: expected settings such as 'task: ...', got {value!r:.60}")
    return value


def parse_value(text: str, place: str) -> object:
    """What one YAML document says: None, bool, int, float, str, list or dict."""
    try:
        loader = _Loader(text)
        try:
            return loader.get_single_data()
        finally:
            loader.dispose()
    except yaml.reader.ReaderError as err:
        raise ConfigError(f"{place}: {_where(text[: err.position])}: {err.reason}") from err
    except yaml.MarkedYAMLError as err:
        raise ConfigError(f"{place}: {_marked(err)}") from err
    except RecursionError as err:
        raise ConfigError(f"{place}: too many brackets inside one another") from err
    except (ValueError, KeyError) as err:  # `0b_` is a number to YAML and none to Python
        raise ConfigError(f"{place}: not a value that YAML knows: {err}; put it in quotes") from err


def _decoded(data: bytes, place: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as err:
        head = data[: err.start].decode("utf-8-sig")
        raise ConfigError(
            f"{place}: {_where(head)}: not UTF-8 (byte {data[err.start]:#04x}); "
            "save the file as UTF-8"
        ) from err


def _where(head: str) -> str:
    """The place just behind `head`, as editors count it."""
    line = head.rpartition("\n")[2]
    return f"line {head.count(chr(10)) + 1}, column {len(line) + 1}"


def _marked(err: yaml.MarkedYAMLError) -> str:
    mark = err.problem_mark or err.context_mark
    where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    problem = err.problem or err.context or ""
    if problem.startswith("but "):  # the end of a sentence
        problem = f"{err.context}, {problem}"
    return f"{where}{problem}{_hint(err, problem)}"


def _hint(err: yaml.MarkedYAMLError, problem: str) -> str:
    """What to do about characters that mean something to YAML, such as the * of a pattern."""
    if "'\\t'" in problem:
        return "; indent with spaces"
    kinds, said = ("alias", "anchor"), ("cannot start any token", "undefined alias")
    begins = any(kind in (err.context or "") for kind in kinds) or any(
        words in problem for words in said
    )
    return "; put text that begins so in quotes" if begins else ""

"""Narrowing: a graph that reads the first token alone computes its last layer for that token alone.

A classifier takes the vector of the first token from the last layer, and throws the others away.
What works on each token by itself (dense layers, norms, activations, sums), and the queries of an
attention, may as well take the first token before as after: keys and values are still of all. Of a
model of six layers that is a seventh of the work. Nothing else is computed, so it is the same
number.

It goes up from where the first token is taken, through operations that it knows and whose outputs
all go into what is narrowed, and cuts where it does not get on.
"""

from collections.abc import Callable, Mapping
from typing import Any

from labelmill.engines.openvino import runtime

_NUMBERS = (
    *("Add", "Convert", "Divide", "Erf", "Gelu", "Maximum", "Minimum", "Multiply", "Power"),
    *("Relu", "Select", "Sigmoid", "Subtract", "Tanh"),
)

Axes = Mapping[int, int]  # input of an operation -> its axis that is to have the first entry alone
Asked = dict[tuple[str, int], int]  # the same of a whole graph, by names of operations


def narrow(graph: Any) -> int:
    """Change an openvino.Model so; how many operations work on less now."""
    asked: Asked = {}
    cuts: list[tuple[Any, int]] = []
    narrowed = 0
    for operation in reversed(graph.get_ordered_ops()):
        axes = _reached(operation, asked)
        if axes is None:
            cuts += _cuts(operation, asked)
            taken = _taken(operation)
            axes = {} if taken is None else {0: taken}
        else:
            narrowed += 1
        asked |= {(operation.get_name(), port): axis for port, axis in axes.items()}
    for port, axis in cuts:
        _cut(port, axis)
    graph.validate_nodes_and_infer_types()
    return narrowed


def _taken(operation: Any) -> int | None:
    """The axis along which the operation takes the entry 0."""
    if operation.get_type_name() != "Gather":
        return None
    index, axis = (_constant(operation, port) for port in (1, 2))
    return axis[0] if index == [0] and axis is not None and axis[0] > 0 else None


def _reached(operation: Any, asked: Asked) -> Axes | None:
    """What it asks of its inputs, if everyone who takes its output asks for the same axis of it."""
    wanted = {asked.get(_key(port)) for port in _users(operation)}
    axis = next(iter(wanted), None)
    rule = _RULES.get(operation.get_type_name())
    if len(wanted) != 1 or axis is None or rule is None or not _ranked(operation):
        return None
    return rule(operation, axis)


def _ranked(operation: Any) -> bool:
    """Whether it is known how many axes its inputs and outputs have."""
    ports = [*operation.inputs(), *operation.outputs()]
    return all(port.get_partial_shape().rank.is_static for port in ports)


def _cuts(operation: Any, asked: Asked) -> list[tuple[Any, int]]:
    """Those who ask for an axis of its output; not who takes the first entry, as nothing is won."""
    askers = [port for port in _users(operation) if _key(port) in asked]
    return [(port, asked[_key(port)]) for port in askers if _taken(port.get_node()) is None]


def _users(operation: Any) -> list[Any]:
    return [port for output in operation.outputs() for port in output.get_target_inputs()]


def _key(port: Any) -> tuple[str, int]:
    return port.get_node().get_name(), port.get_index()


def _cut(port: Any, axis: int) -> None:
    whole = port.get_source_output()
    first = runtime.openvino().opset13.slice(whole, [0], [1], [1], [axis])
    port.replace_source_output(first.output(0))


def _each(operation: Any, axis: int) -> Axes:
    """Every number by itself; inputs are aligned at their last axes."""
    rank = len(operation.get_output_partial_shape(0))
    found = {}
    for port in range(operation.get_input_size()):
        shape = operation.get_input_partial_shape(port)
        at = axis - rank + len(shape)
        if at >= 0 and not _single(shape[at]):
            found[port] = at
    return found


def _norm(operation: Any, axis: int) -> Axes | None:
    rank = len(operation.get_output_partial_shape(0))
    axes = _constant(operation, 1)
    return {0: axis} if axes is not None and axis not in {at % rank for at in axes} else None


def _product(operation: Any, axis: int) -> Axes | None:
    """Rows of the first factor are rows of the product."""
    rank = len(operation.get_output_partial_shape(0))
    same = len(operation.get_input_partial_shape(0)) == rank
    rows = axis == rank - 2 and not operation.get_attributes()["transpose_a"]
    return {0: axis} if same and rows else None


def _attention(operation: Any, axis: int) -> Axes | None:
    """[batch, heads, queries, size]; a mask, if there is one, is [..., queries, keys]."""
    if operation.get_attributes()["causal"] or axis != _QUERIES:
        return None
    if operation.get_input_size() <= _MASK:
        return {0: axis}
    shape = operation.get_input_partial_shape(_MASK)
    rows = len(shape) - 2
    own = rows >= 0 and not _single(shape[rows])
    return {0: axis, _MASK: rows} if own else {0: axis}


_QUERIES = 2
_MASK = 3


def _transposed(operation: Any, axis: int) -> Axes | None:
    order = _constant(operation, 1)
    return None if order is None else {0: order[axis]}


def _split(operation: Any, axis: int) -> Axes | None:
    rank = len(operation.get_output_partial_shape(0))
    along = _constant(operation, 1)
    return {0: axis} if along is not None and axis != along[0] % rank else None


def _softmax(operation: Any, axis: int) -> Axes | None:
    rank = len(operation.get_output_partial_shape(0))
    return {0: axis} if axis != operation.get_attributes()["axis"] % rank else None


def _reshaped(operation: Any, axis: int) -> Axes | None:
    """Where the axis, and those before it, are taken over as they are (0, or the same number)."""
    target = _constant(operation, 1)
    if target is None or not operation.get_attributes()["special_zero"] or target[axis] != 0:
        return None
    shape = list(operation.get_input_partial_shape(0))
    kept = all(size in (0, _size(shape[at])) for at, size in enumerate(target[:axis]))
    return {0: axis} if kept else None


_RULES: Mapping[str, Callable[[Any, int], Axes | None]] = {
    **dict.fromkeys(_NUMBERS, _each),
    "MVN": _norm,
    "MatMul": _product,
    "Reshape": _reshaped,
    "ScaledDotProductAttention": _attention,
    "Softmax": _softmax,
    "Split": _split,
    "Transpose": _transposed,
    "VariadicSplit": _split,
}


def _size(dimension: Any) -> int | None:
    return int(dimension.get_length()) if dimension.is_static else None


def _single(dimension: Any) -> bool:
    return _size(dimension) == 1


def _constant(operation: Any, port: int) -> list[int] | None:
    """The numbers of an input, where they are fixed."""
    node = operation.input_value(port).get_node()
    if node.get_type_name() != "Constant":
        return None
    return [int(value) for value in node.get_data().ravel()]

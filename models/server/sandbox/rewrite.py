"""A template's syntax tree, with a charge in front of whatever repeats.

What runs once is bounded by the length of the source. Only loops and macros repeat, so each of their bodies begins by
paying for its nodes. A few expressions are compiled by Jinja to bare Python, past any hook of the environment; they
become filters, which see the budget: `~`, `in` and the other comparisons, and slices.
"""

from typing import Final

from jinja2 import nodes
from jinja2.exceptions import TemplateSyntaxError
from jinja2.visitor import NodeTransformer

CHARGE: Final = "_charge"
CONCAT: Final = "_concat"
CONTAINED: Final = "_contained"
SLICED: Final = "_sliced"
WEIGHED: Final = "_weighed"
"""The names of the filters."""

_CALL: Final = 100
"""What a call of a macro costs, its body apart."""

_KNOWN: Final = (
    "Add And Assign AssignBlock Break Call CallBlock Compare Concat CondExpr Const Continue Dict Div Filter "
    "FilterBlock FloorDiv For Getattr Getitem If Keyword List Macro Mod Mul Name Neg Not NSRef Operand Or Output Pair "
    "Pos Pow Scope Slice Sub Template TemplateData Test Tuple With"
)
"""Left out is what needs other templates (extends, include, import, block) and what chooses HTML (autoescape)."""


class Metering(NodeTransformer):
    """Rewrites a tree in place.

    Raises:
        TemplateSyntaxError: the template uses what is left out here.

    """

    def visit(self, node: nodes.Node, *args: object, **kwargs: object) -> nodes.Node:
        """Rewrite one node and what is below it."""
        name = type(node).__name__
        if name not in _KNOWN.split():
            raise TemplateSyntaxError(f"{name} is not supported", node.lineno)
        if getattr(node, "dyn_args", None) is not None or getattr(node, "dyn_kwargs", None) is not None:
            raise TemplateSyntaxError("calls with * or ** are not supported", node.lineno)
        rewritten = super().visit(node, *args, **kwargs)
        assert isinstance(rewritten, nodes.Node)
        return rewritten

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802
        """A loop pays for each item, and for each that its condition leaves out."""
        size = _size(node)
        self.generic_visit(node)
        node.body.insert(0, _charge(size, node.lineno))
        if node.test is not None:
            node.test = nodes.And(_charged(size, node.lineno), node.test, lineno=node.lineno)
        return node

    def visit_Macro(self, node: nodes.Macro) -> nodes.Node:  # noqa: N802
        """A macro pays for each call."""
        return self._called(node)

    def visit_CallBlock(self, node: nodes.CallBlock) -> nodes.Node:  # noqa: N802
        """Its body is a macro without a name."""
        return self._called(node)

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802
        """`a ~ b`."""
        self.generic_visit(node)
        return _filter(CONCAT, nodes.List(node.nodes, lineno=node.lineno))

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:  # noqa: N802
        """A slice is a copy. A key is hashed, with all that it contains."""
        self.generic_visit(node)
        if isinstance(node.arg, nodes.Slice):
            return _filter(SLICED, node)
        node.arg = _weighed(node.arg)
        return node

    def visit_Compare(self, node: nodes.Compare) -> nodes.Node:  # noqa: N802
        """A comparison ends with its shorter side, and a constant is short."""
        self.generic_visit(node)
        if any(operand.op in {"in", "notin"} for operand in node.ops):
            return _contained(node)
        for operand in node.ops:
            if not _is_constant(operand.expr):
                operand.expr = _weighed(operand.expr)
        return node

    def _called(self, node: nodes.Macro | nodes.CallBlock) -> nodes.Node:
        size = _size(node)
        self.generic_visit(node)
        node.body.insert(0, _charge(_CALL + size, node.lineno))
        return node


def _contained(node: nodes.Compare) -> nodes.Expr:
    if len(node.ops) != 1:
        raise TemplateSyntaxError("a chain of comparisons with 'in' is not supported", node.lineno)
    container = node.ops[0].expr
    if isinstance(container, nodes.List | nodes.Tuple) and all(map(_is_constant, container.items)):
        return node
    found = _filter(CONTAINED, node.expr, node.ops[0].expr)
    return found if node.ops[0].op == "in" else nodes.Not(found, lineno=node.lineno)


def _weighed(node: nodes.Expr) -> nodes.Expr:
    return node if _is_constant(node) else _filter(WEIGHED, node)


def _is_constant(node: nodes.Node) -> bool:
    """Or a number of the source's, which is as short."""
    return isinstance(node, nodes.Const) or (isinstance(node, nodes.Neg) and isinstance(node.node, nodes.Const))


def _charge(units: int, lineno: int) -> nodes.Node:
    return nodes.ExprStmt(_charged(units, lineno), lineno=lineno)


def _charged(units: int, lineno: int) -> nodes.Expr:
    return _filter(CHARGE, nodes.Const(units, lineno=lineno))


def _filter(name: str, node: nodes.Expr, *args: nodes.Expr) -> nodes.Filter:
    return nodes.Filter(node, name, list(args), [], None, None, lineno=node.lineno)


def _size(node: nodes.Node) -> int:
    """Nodes, and the characters that stand between the tags."""
    texts = sum(len(text.data) for text in node.find_all(nodes.TemplateData))
    return 1 + texts + sum(1 for _ in node.find_all(nodes.Node))

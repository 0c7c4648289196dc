"""YAML text to nodes that know where they stand.

The tree is composed, never constructed, so no tag can make an object. It may loop through its aliases; whoever walks it
goes only as deep as the schema.
"""

from dataclasses import dataclass

import yaml

_SYNTAX_REMEDY = 'check the indentation and quotes; a ${NAME} inside { } or [ ] needs quotes: "${NAME}"'


class Malformed(ValueError):
    """The text is not one YAML document of our kind. `line` is 1-based, or None if unknown."""

    def __init__(self, line: int | None, problem: str, remedy: str = _SYNTAX_REMEDY) -> None:
        super().__init__(problem)
        self.line = line
        self.problem = problem
        self.remedy = remedy


@dataclass(frozen=True, slots=True)
class Place:
    """A node and the path of keys that leads to it."""

    node: yaml.Node
    key: str

    @property
    def line(self) -> int:
        """1-based."""
        return int(self.node.start_mark.line) + 1

    def below(self, name: str, node: yaml.Node) -> "Place":
        """The place of an entry of this mapping."""
        return Place(node, f"{self.key}.{name}" if self.key else name)

    def item(self, index: int, node: yaml.Node) -> "Place":
        """The place of an item of this list."""
        return Place(node, f"{self.key}[{index}]")


def compose(text: str) -> Place | None:
    """The root of the document, None if it is empty. Raises Malformed."""
    try:
        _refuse_tags(text)
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        raise Malformed(_line_of(error.problem_mark), f"is not YAML: {error.problem}") from None
    except yaml.reader.ReaderError as error:
        problem = f"holds the control character U+{error.character:04X}"
        raise Malformed(text.count("\n", 0, error.position) + 1, problem, "remove it") from None
    except RecursionError:
        raise Malformed(None, "is nested too deeply") from None
    return None if node is None else Place(node, "")


def _refuse_tags(text: str) -> None:
    # A reader who writes !ENV or !vault expects something to happen; taking the text as it stands would be worse.
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if tag := getattr(event, "tag", None):
            raise Malformed(_line_of(event.start_mark), f"has the tag {tag}", "remove it; tags mean nothing here")


def _line_of(mark: object) -> int | None:
    return mark.line + 1 if isinstance(mark, yaml.Mark) else None

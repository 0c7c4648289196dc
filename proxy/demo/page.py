"""How the demo looks: facts in, text out. On a terminal in colours, elsewhere plain. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from proxy.demo.incident import Incident
from proxy.demo.story import Answer, Story, Times

INDENT: Final = "  "
SEAM: Final = "⚡"
_LABEL_COLUMNS: Final = 24
_TOLD_HEADERS: Final = ("x-hotspare-upstream", "x-hotspare-model", "x-hotspare-reason")


class Ink(StrEnum):
    """Parameters of Select Graphic Rendition (ECMA-48, 8.3.117)."""

    HEADING = "1"
    FAINT = "2"
    LOCAL = "32"
    SEAM = "1;33"
    CLOUD = "36"


@dataclass(frozen=True, slots=True)
class Page:
    """Its parts, from top to bottom.

    Args:
        is_live: whether a terminal shows it, which knows colours and goes back to the start of a line.
        columns: its width.

    """

    is_live: bool
    columns: int

    def inked(self, text: str, ink: Ink) -> str:
        """The text in a colour, where there are any."""
        return f"\x1b[{ink}m{text}\x1b[0m" if self.is_live and text else text

    def opening(self, story: Story) -> str:
        """What is about to happen."""
        return self._headed("hotspare demo") + _lines(
            f"A pretend cloud answers a question. After {len(story.words)} words its plug is pulled.",
            "The application that asked notices a short silence, and no error.",
            "Before all that the local model is loaded: a hot spare runs already when it is needed.",
            "",
        )

    def first_question(self, question: str) -> str:
        """What the cloud is asked."""
        return self._question("An outage in the middle of an answer", question)

    def second_question(self, question: str) -> str:
        """What is asked when nobody is there but the local model."""
        return self._question("The cloud is still dead; a second question", question)

    def legend(self, answer: Answer) -> str:
        """Below an answer: who wrote what."""
        local = next((plain(piece.model) for piece in answer.pieces if not piece.is_clouds), "nobody")
        cloud, seam = self.inked("the cloud", Ink.CLOUD), self.inked(SEAM, Ink.SEAM)
        return _lines("", f"{cloud} {seam} {self.inked(f'{local}, the local model', Ink.LOCAL)}")

    def times(self, times: Times) -> str:
        """What the application noticed."""
        return self._headed("What the application noticed") + self._table(
            (
                ("first word", _seconds(times.first_word)),
                ("plug pulled", _seconds(times.plug_pulled)),
                ("next word after that", _seconds(times.first_local_word)),
                ("longest silence", f"{times.longest_silence:.2f} s"),
                ("whole answer", _seconds(times.whole)),
            )
        )

    def incident(self, incident: Incident) -> str:
        """What the proxy counted."""
        asked = [(f"{_number(each.count, 'attempt')} at {each.upstream}", each.outcome) for each in incident.attempts]
        resumed = [(f"went on for {origin}", follower) for origin, follower in incident.resumed]
        ends = ", ".join(f"{result}: {count}" for result, count in incident.results.items())
        client = ("result for the client", f"{ends}, errors: {incident.errors}")
        return self._headed("The incident, as the proxy counted it") + self._table((*asked, *resumed, client))

    def origin(self, answer: Answer) -> str:
        """Below an answer: what the response said of it."""
        told = [(name, plain(answer.headers[name])) for name in _TOLD_HEADERS if answer.headers.get(name)]
        first = next((piece.at for piece in answer.pieces), None)
        return _lines("") + self._table((*told, ("first word after", _seconds(first, sign=""))))

    def closing(self, base_url: str) -> str:
        """What to do next."""
        return self._headed("Your turn") + _lines(
            f'Start `hotspare serve`, and tell your OpenAI SDK: base_url="{base_url}"',
            "README.md goes on from here: your clouds in order, your keys, a larger local model.",
            "",
        )

    def _question(self, heading: str, question: str) -> str:
        return self._headed(heading) + _lines(self.inked(f"Q: {plain(question)}", Ink.FAINT), "")

    def _headed(self, text: str) -> str:
        return f"\n{self.inked(text, Ink.HEADING)}\n"

    def _table(self, rows: Iterable[tuple[str, str]]) -> str:
        return _lines(*(f"{self.inked(f'{label:<{_LABEL_COLUMNS}}', Ink.FAINT)}{value}" for label, value in rows))


def page_for(is_terminal: bool, environment: Mapping[str, str], columns: int) -> Page:
    """The page for such an output; NO_COLOR as https://no-color.org has it."""
    is_plain = bool(environment.get("NO_COLOR")) or environment.get("TERM") == "dumb"
    return Page(is_terminal and not is_plain, columns)


def plain(text: str) -> str:
    """The text without what would move a terminal's cursor or change its colours."""
    return "".join(letter if letter.isprintable() or letter == "\n" else " " for letter in text)


def _lines(*lines: str) -> str:
    return "".join(f"{INDENT}{line}".rstrip() + "\n" for line in lines)


def _seconds(value: float | None, *, sign: str = "+") -> str:
    return "-" if value is None else f"{sign}{value:.2f} s"


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"

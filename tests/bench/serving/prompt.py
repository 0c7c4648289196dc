"""The prompts: random words, as many as make the tokens that are wanted, and the same for whoever has the same key."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from random import Random

Messages = list[dict[str, str]]

# Short and common: most tokenizers make one token of each, so that lengths are hit well whatever the model.
_TEXT = """\
able about above across act add age ago air all along also always among animal answer any appear area arm ask away
back bad base beautiful became bed been before began best better big bird black blue boat body bone book both bottom
box boy bring brought brown build built busy buy call came car care carry cat cause center change city class clear
close cold color come common cook cool copy corn correct country cover cross cry cut dark day deep develop different
direct dog door down draw dream dress drive dry during each early earth east easy eat end enough even ever every eye
face fact fall family far farm fast father feet few field fill final find fine fire first fish five floor fly food
foot force form four free friend front full game gave girl give glass gold good government grand gray great green
ground group grow half hand happen hard head hear heart heat heavy help high hill home horse hot hour house huge human
idea inch inside interest island job just keep kind king knew know land language large last late laugh law lead learn
leave left leg less letter level life light line list listen little live long look lot love low machine made main make
man many map mark matter mean measure men might mile milk mind minute miss money month moon more morning most mother
mountain move much music name nation nature near need never new next night north note nothing notice number object
ocean off often oil old once one open order other out over own page paint pair paper part party pass past path pay
people person picture piece place plan plane plant play point poor power present pretty print problem produce product
public pull push question quick quiet rain ran reach read ready real record red remember rest rich ride right ring
river road rock room round rule run said sail same sand saw say school science sea season second see seem sentence
serve set seven several shape ship shop short should show side sign silver simple since sing sister sit six size skin
sleep slow small snow soft soil some song soon sound south space speak special speed spell spring square stand star
start state stay step stone stood stop store story street strong study such summer sun sure surface system table tail
take talk teach tell ten test thank thing think third thought thousand three through tie time told took top toward
town train travel tree true try turn two under unit until usual valley value voice wait walk wall want war warm wash
watch water wave way week weight well went west wheel while white whole wide wife wild will wind window winter wish
woman wonder wood word work world write year yellow yes young
"""
_WORDS = tuple(_TEXT.split())
_PROBE_WORDS = (10, 110)


class Kind(Enum):
    """What the prompts of a burst have in common: a long beginning (the system message), or nothing."""

    SHARED = "shared"
    DISJOINT = "disjoint"


@dataclass(frozen=True, slots=True)
class Size:
    """Words in the system message, which a burst shares or not, and in the user's."""

    system_words: int
    user_words: int


PROBES = tuple(Size(words, words) for words in _PROBE_WORDS)


@dataclass(frozen=True, slots=True)
class Scale:
    """How many tokens a model's template and tokenizer make: so many around the messages, and for each word."""

    overhead_tokens: float
    tokens_per_word: float

    @classmethod
    def measured(cls, prompt_tokens: Sequence[int]) -> "Scale":
        """From what the model made of the PROBES. Raises ValueError if it did not say, or nothing that makes sense."""
        less, more = prompt_tokens
        small, large = (size.system_words + size.user_words for size in PROBES)
        per_word = (more - less) / (large - small)
        if less <= 0 or per_word <= 0:
            raise ValueError(f"prompts of {small} and {large} words had {less} and {more} tokens")
        return cls(max(0.0, less - small * per_word), per_word)

    def size(self, prompt_tokens: int, shared_tokens: int) -> Size:
        """The words for prompts of that many tokens, of which so many make the beginning."""
        # Half of the template stands before the user's text: it is shared, too.
        half = self.overhead_tokens / 2
        return Size(self._words(shared_tokens - half), self._words(prompt_tokens - shared_tokens - half))

    def _words(self, tokens: float) -> int:
        return max(1, round(tokens / self.tokens_per_word))


# Of SmolLM2; for servers that do not report usage.
USUAL_SCALE = Scale(overhead_tokens=11, tokens_per_word=1.0)


def conversations(kind: Kind, size: Size, count: int, key: str, part: str) -> list[Messages]:
    """That many prompts. Parts with the same key have the same beginning, if it is shared, and nothing else."""
    systems = (f"{key}/system", 0) if kind is Kind.SHARED else (f"{key}/{part}/system", 1)
    return [
        [
            {"role": "system", "content": _text(systems[0], systems[1] * index, size.system_words)},
            {"role": "user", "content": _text(f"{key}/{part}/user", index, size.user_words)},
        ]
        for index in range(count)
    ]


def _text(key: str, index: int, words: int) -> str:
    # No two texts of a key begin with the same word: a cache could use even that.
    openings = Random(key).sample(_WORDS, len(_WORDS))
    return " ".join([openings[index % len(openings)], *Random(f"{key}/{index}").choices(_WORDS, k=words - 1)])

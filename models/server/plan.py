"""From a decoded request to what the engine is asked, and how its answers are read. Takes a while: not on the loop."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from models.server.answer import Answer
from models.server.channels import FINAL, RECIPIENT
from models.server.generation import Ask
from models.server.grammars import Wish
from models.server.marks import Thinking
from models.server.messages import plain_messages
from models.server.offer import Offer
from models.server.prompt import Prompt
from models.server.request import ChatBody, CompletionBody, prompts
from models.server.sampling import sampling_params
from models.server.service import Loaded
from models.server.thinking import ThoughtReader
from models.server.wire import Usage
from models.tools.demand import Delivered, Foreword, foregone
from models.tools.format import ToolFormat
from models.tools.lead import Lead
from models.tools.parser import CallParser


@dataclass(frozen=True, slots=True)
class Plan:
    """What one request comes to.

    Attributes:
        asks: for each answer that is to be given, by index.
        answers: reads each of them.
        before: what the request has cost so far.
        is_shrunk: something was left out to make it fit.

    """

    asks: Mapping[int, Ask]
    answers: Mapping[int, Answer]
    before: Usage
    is_shrunk: bool


@dataclass(frozen=True, slots=True)
class _Open:
    """One answer that is to be given."""

    prompt: Prompt
    grammar: str
    answer: Answer


@dataclass(frozen=True, slots=True)
class _Begun:
    """How one answer begins.

    Attributes:
        prompt: up to where it goes on.
        grammar: from its beginning.
        ahead: what of it is foregone.
        lead: how it may begin with a call in plain JSON; None if it cannot.

    """

    prompt: Prompt
    grammar: str
    ahead: str
    lead: Lead | None


def plan_chat(loaded: Loaded, body: ChatBody, seed: int, *, shrinks: bool) -> Plan:
    """Plan a chat.

    Args:
        loaded: the model.
        body: the request.
        seed: of the first answer.
        shrinks: what is too long is shortened.

    Raises:
        RequestError: it cannot be answered.

    """
    encode = _chat_encoder(loaded, body, shrinks=shrinks)
    known: dict[tuple[str, bool], _Begun] = {}
    opened: dict[int, _Open] = {}
    for index, said in enumerate(body.answers):
        if said is None:
            continue
        # Words may be what calls are spelled like.
        key = said.spell(loaded.constraints.form), bool(said.calls)
        if key not in known:
            known[key] = _begun(loaded, body, said, encode)
        begun = known[key]
        thoughts = loaded.thinking.reader() if _has_thoughts(loaded.thinking, body, said) else None
        answer = _reader(loaded.constraints.form, body.offer, said, begun, thoughts)
        opened[index] = _Open(begun.prompt, begun.grammar, answer)
    return _plan(loaded, body, opened, seed)


def _begun(loaded: Loaded, body: ChatBody, said: Delivered, encode: Callable[[str, str], Prompt]) -> _Begun:
    constraints, offer = loaded.constraints, body.offer
    is_foregone = offer is not None and offer.is_forced and not said.calls
    ahead = foregone(constraints.form, offer.names) if offer and is_foregone else ""
    spelled = said.spell(constraints.form) + ahead
    has_thoughts = _has_thoughts(loaded.thinking, body, said)
    prompt = encode(spelled, "" if has_thoughts else loaded.thinking.cut)
    if body.grammar:
        return _Begun(prompt, constraints.own(body.grammar, prompt.seam.delivered), ahead, None)
    # The answer may go on behind a message of the client's: that is a part of it too.
    before = prompt.seam.delivered.decode(errors="replace").removesuffix(spelled)
    foreword = _foreword(loaded.thinking) if has_thoughts else Foreword()
    wish = Wish(body.response_format, offer, replace(said, words=before + said.words), foreword)
    return _Begun(prompt, constraints.constrain(wish, prompt.seam.delivered), ahead, wish.lead(constraints.form))


def plan_text(loaded: Loaded, body: CompletionBody, seed: int) -> Plan:
    """Plan text completions. Raises RequestError."""
    return _plan(loaded, body, dict(_open_texts(loaded, body)), seed)


def _chat_encoder(loaded: Loaded, body: ChatBody, *, shrinks: bool) -> Callable[[str, str], Prompt]:
    """From what is delivered of an answer, and what is put before it, to its prompt."""
    encoder, messages = loaded.encoder, plain_messages(body.messages, continues=body.continues)
    tools = body.offer.tools if body.offer else None

    def encode(said: str, opening: str) -> Prompt:
        if shrinks:
            return encoder.fitting_chat(messages, said, body.wanted_tokens, tools, opening)
        return encoder.chat(messages, said, tools, opening)

    return encode


def _open_texts(loaded: Loaded, body: CompletionBody) -> Iterator[tuple[int, _Open]]:
    for number, given in enumerate(prompts(body)):
        known = {text: _text_prompt(loaded, given, text) for text in set(body.delivered) if text is not None}
        for choice, delivered in enumerate(body.delivered):
            if delivered is not None:
                prompt = known[delivered]
                grammar = loaded.constraints.own(body.grammar or "", prompt.seam.delivered)
                yield number * body.choices + choice, _Open(prompt, grammar, Answer())


def _text_prompt(loaded: Loaded, given: str | list[int], delivered: str) -> Prompt:
    if isinstance(given, str):
        return loaded.encoder.text(given, delivered)
    return loaded.encoder.tokens(given, delivered)


def _has_thoughts(thinking: Thinking, body: ChatBody, said: Delivered) -> bool:
    """Whether an answer may begin with thoughts: not where something stands at its beginning, or has to."""
    is_bound = body.grammar or Wish(body.response_format, None, said).has_form or (body.offer and body.offer.is_forced)
    is_begun = said.words or said.calls or body.has_prefix
    return thinking.is_possible and not is_bound and not is_begun


def _foreword(thinking: Thinking) -> Foreword:
    """Thoughts as a grammar knows them, which reads them with the answer."""
    if thinking.has_channels:
        return Foreword((FINAL,), RECIPIENT)
    return Foreword((thinking.marks.opening, thinking.marks.closing)) if thinking.marks else Foreword()


def _reader(
    form: ToolFormat, offer: Offer | None, said: Delivered, begun: _Begun, thoughts: ThoughtReader | None
) -> Answer:
    if offer is None:
        return Answer(thoughts=thoughts)
    parser = CallParser(form, begun.lead)
    delivered = begun.prompt.seam.delivered.decode(errors="replace").removesuffix(begun.ahead)
    parser.resume(delivered, has_calls=bool(said.calls))
    return Answer(parser, offer, begun.ahead, thoughts)


def _plan(loaded: Loaded, body: ChatBody | CompletionBody, opened: Mapping[int, _Open], seed: int) -> Plan:
    asks = {index: _ask(loaded, body, one, seed + index % body.choices) for index, one in opened.items()}
    prompted = [one.prompt for one in opened.values()]
    return Plan(
        asks,
        {index: one.answer for index, one in opened.items()},
        _usage_before(prompted, body.choices),
        any(prompt.is_shrunk for prompt in prompted),
    )


def _ask(loaded: Loaded, body: ChatBody | CompletionBody, one: _Open, seed: int) -> Ask:
    """The `n` of one prompt have seeds counted up."""
    prompt = one.prompt
    may_call = isinstance(body, ChatBody) and body.offer is not None and not prompt.seam.delivered
    params = sampling_params(
        body,
        loaded.defaults,
        room_tokens=loaded.context_tokens - len(prompt.tokens),
        seed=seed,
        vocabulary_size=loaded.vocabulary_size,
        grammar=one.grammar,
        opening_token=loaded.calls_token if may_call else None,
        seam=prompt.seam,
        answered=prompt.answered,
    )
    return Ask(list(prompt.tokens), params)


def _usage_before(prompted: list[Prompt], choices: int) -> Usage:
    """A prompt that has several choices counts once, and of answers what the clients have of those that go on."""
    answered = sum(prompt.answered for prompt in prompted)
    distinct = prompted[::choices] if len(prompted) % choices == 0 else prompted[:1]
    return Usage(sum(len(prompt.tokens) - prompt.answered for prompt in distinct), answered)

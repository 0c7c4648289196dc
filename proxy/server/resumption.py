"""A stream that broke while its client was reading: what the client has of it, and how somebody goes on behind that."""

from proxy.core.action import Start
from proxy.core.candidates import Need
from proxy.core.outcome import OK, Kind, Outcome
from proxy.server.answer import Remains, Unjoinable
from proxy.server.attempt import Facilities, Question
from proxy.server.pulse import Pulse
from proxy.server.reply import Reply
from proxy.upstreams.upstream import Call
from proxy.wire import continuation
from proxy.wire.delivered import Unstitchable
from proxy.wire.stitch import Stitch


class Resumption:
    """Of one request, from the first break on. `close` it when the request has ended.

    Args:
        question: the client's.
        remains: of the stream that broke.
        reply: to show signs of life on.
        facilities: a clock, and who looks at limits.

    Raises:
        Unstitchable: nobody can go on behind what is left.

    """

    def __init__(self, question: Question, remains: Remains, reply: Reply, facilities: Facilities) -> None:
        if remains.delivered is None:
            raise Unstitchable("what was delivered has been forgotten")
        assert isinstance(question.call.body, bytes)
        self._question = question
        self._body = question.call.body
        self._stitch = Stitch(remains.delivered, continuation.choices(self._body))
        self._reply = reply
        self._facilities = facilities
        self._pulse: Pulse | None = None

    @property
    def is_possible(self) -> bool:
        """Whether there is still something to go on behind."""
        return self._stitch.is_open

    def question(self, start: Start) -> Question:
        """The client's request, as a demand to go on behind what it has. Until then it gets signs of life.

        Raises Unstitchable.
        """
        call, prefill = self._question.call, start.candidate.prefill
        assert prefill is not None
        delivered = self._stitch.hand_over()
        if Need.TOOLS in start.candidate.losses and any(answer.calls for answer in delivered if answer):
            raise Unstitchable("tools are being called, and this candidate cannot do that")
        body = continuation.continued(self._body, prefill, delivered)
        self._pulse = self._pulse or Pulse(self._reply, self._facilities.clock, self._facilities.deadlines)
        again = Call(call.method, call.target, call.fields, body, call.rendered, call.draw)
        return Question(again, self._question.model, is_stream=True)

    def show(self, data: bytes) -> None:
        """Whole events of whoever goes on. Raises Unjoinable where they cannot be joined to what the client has;
        what came before that is shown.
        """
        self.close()
        try:
            for joined in self._stitch.take(data):
                self._reply.block(joined)
        except Unstitchable as error:
            raise Unjoinable(Outcome(Kind.BAD_ANSWER, OK.status, detail=str(error))) from None

    def close(self) -> None:
        """Nobody waits any more."""
        if self._pulse is not None:
            self._pulse.stop()
            self._pulse = None

"""Bytes of completions, whole and streamed."""

from proxy.wire import sse

ROLE = sse.event(b'{"choices":[{"delta":{"role":"assistant","content":""},"finish_reason":null}]}')
TEXT = sse.event(b'{"choices":[{"delta":{"content":"Hi"},"finish_reason":null}]}')
STOP = sse.event(b'{"choices":[{"delta":{},"finish_reason":"stop"}]}')
USAGE = sse.event(b'{"choices":[],"usage":{"total_tokens":3}}')
DONE = sse.event(b"[DONE]")
PING = b": ping\n\n"
ERROR = sse.event(b'{"error":{"message":"overloaded"}}')
ANSWER = b'{"choices":[{"message":{"content":"Hi"}}]}'
OTHER_TEXT = sse.event(b'{"choices":[{"index":1,"delta":{"content":"Ho"},"finish_reason":null}]}')
OTHER_STOP = sse.event(b'{"choices":[{"index":1,"delta":{},"finish_reason":"stop"}]}')

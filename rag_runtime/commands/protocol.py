"""uvicorn's HTTP protocols with limits on a request's head, and on how long a client may leave an answer unread.

uvicorn itself waits without end and bound for both.
"""

from __future__ import annotations

import asyncio

import httptools
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEADER_SECONDS = 15.0
# Received, and come to nothing yet: a head, a chunk's extension, a trailer. The parser keeps and copies it all.
MAX_UNFINISHED_BYTES = 64 * 1024
# An answer waits in our memory while its client reads: it must take some of it in this time.
UNREAD_SECONDS = 60.0
SLOWEST_BYTES_PER_SECOND = 256


class _Timed(asyncio.Protocol):
    """Closes a connection whose request line and headers are not complete in time, its first or a later one.

    Cuts one whose client does not read what it asked for.
    """

    header_seconds = HEADER_SECONDS
    unread_seconds = UNREAD_SECONDS
    _header_timer: asyncio.TimerHandle | None = None
    _reader_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watch_headers()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_watching()
        self._stop_watching_the_reader()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_the_reader()

    def resume_writing(self) -> None:
        self._stop_watching_the_reader()
        super().resume_writing()

    def timeout_keep_alive_handler(self) -> None:
        self._hang_up()

    def _watch_headers(self) -> None:
        assert isinstance(self, HttpToolsProtocol | H11Protocol)  # noqa: S101 - what it is mixed into
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop_watching()
        elif self._header_timer is None and not self.transport.is_closing():
            self._header_timer = self.loop.call_later(self.header_seconds, self._give_up)

    def _stop_watching(self) -> None:
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None

    def _give_up(self) -> None:
        self._header_timer = None
        self._hang_up()

    def _hang_up(self) -> None:
        """Closing waits until all is read; a client that never does is not waited for."""
        transport = _transport(self)
        transport.close()
        if self._reader_timer is None:
            self._reader_timer = asyncio.get_running_loop().call_later(self.unread_seconds, transport.abort)

    def _watch_the_reader(self) -> None:
        unread = _transport(self).get_write_buffer_size()
        loop = asyncio.get_running_loop()
        self._reader_timer = loop.call_later(self.unread_seconds, self._judge_the_reader, unread)

    def _judge_the_reader(self, unread_before: int) -> None:
        """Nothing is written while writing is paused, so what is less was read."""
        transport = _transport(self)
        read = unread_before - transport.get_write_buffer_size()
        if read < SLOWEST_BYTES_PER_SECOND * self.unread_seconds:
            transport.abort()
        else:
            self._watch_the_reader()

    def _stop_watching_the_reader(self) -> None:
        if self._reader_timer is not None:
            self._reader_timer.cancel()
            self._reader_timer = None


def _transport(protocol: _Timed) -> asyncio.Transport:
    assert isinstance(protocol, HttpToolsProtocol | H11Protocol)  # noqa: S101 - what it is mixed into
    return protocol.transport


class _PlainProtocol(_Timed, H11Protocol):
    """The slower one, which reads the body of a request that would rather be upgraded."""


class _QuickProtocol(HttpToolsProtocol):
    _unfinished = 0

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        self._unfinished += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._hand_over(data[upgrade.args[0] :])
        except httptools.HttpParserError:
            self._refuse("Invalid HTTP request received.")
        else:
            if self._unfinished > MAX_UNFINISHED_BYTES:
                self._refuse("The headers are too large.")

    def on_headers_complete(self) -> None:
        self._unfinished = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._unfinished = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._unfinished = 0
        super().on_message_complete()

    def _should_upgrade(self) -> bool:
        """The parser is blind to the body of such a request (Java's client offers h2c by default): see `_hand_over`."""
        return True

    def _hand_over(self, rest: bytes) -> None:
        """Let the other protocol answer this request and those that follow on the connection."""
        method: str = self.scope["method"]
        if method == "CONNECT" or (self.cycle is not None and not self.cycle.response_complete):
            self._refuse("This is no proxy, and no upgrade can be asked for before the last answer.")
            return
        self.connections.discard(self)
        line = b"%s %s HTTP/1.1\r\n" % (method.encode(), self.url)
        head = line + b"".join(b"%s: %s\r\n" % header for header in self.headers)
        other = _PlainProtocol(self.config, self.server_state, self.app_state)
        other.connection_made(self.transport)
        self.transport.set_protocol(other)
        other.data_received(head + b"\r\n" + rest)

    def _refuse(self, reason: str) -> None:
        self.logger.warning(reason)
        self.send_400_response(reason)


class PatientProtocol(_Timed, _QuickProtocol):
    """What `serve` uses."""

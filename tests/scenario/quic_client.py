"""A DNS over QUIC client that may do anything: aioquic's state machine, on a thread and loop of its own."""

import asyncio
import ssl
import struct
from concurrent.futures import ThreadPoolExecutor

from aioquic.asyncio.client import connect
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.quic import events
from aioquic.quic.configuration import QuicConfiguration


class Client(QuicConnectionProtocol):
    """Collects what comes on each stream, and how stream and connection end."""

    def __init__(self, *how, **also):
        super().__init__(*how, **also)
        self.streams = {}
        self.ended = set()
        self.resets = {}
        self.closed_with = None
        self.news = asyncio.Event()

    def quic_event_received(self, event):
        if isinstance(event, events.StreamDataReceived):
            self.streams[event.stream_id] = self.streams.get(event.stream_id, b"") + event.data
            if event.end_stream:
                self.ended.add(event.stream_id)
        elif isinstance(event, events.StreamReset):
            self.resets[event.stream_id] = event.error_code
        elif isinstance(event, events.ConnectionTerminated):
            self.closed_with = event.error_code
        self.news.set()

    async def until(self, condition):
        """Wait until *condition* holds."""
        async with asyncio.timeout(10):
            while not condition():
                self.news.clear()
                await self.news.wait()

    def write(self, stream, octets, *, end=True):
        self._quic.send_stream_data(stream, octets, end_stream=end)
        self.transmit()


def framed(wire):
    return struct.pack("!H", len(wire)) + wire


def talk(port, work, *, alpn="doq", host="127.0.0.1"):
    """Connect, run the coroutine function *work* with the client, and return what it returns."""

    async def main():
        settings = QuicConfiguration(is_client=True, alpn_protocols=[alpn], verify_mode=ssl.CERT_NONE)
        async with connect(host, port, configuration=settings, create_protocol=Client) as client:
            return await work(client)

    # The tests' own loop runs in this thread already.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, main()).result(30)

"""The interface of clients for the checks, over blocking and asynchronous channels.

`ask` returns one response, `open` a stream of responses, and `said()` makes a stream of requests."""

import asyncio
import queue
from typing import NamedTuple

import grpc
import grpc.aio

from rides_channel import NO_PROXY

END = object()


class Method(NamedTuple):
    """A method of a generated stub: `Method(RidesStub, "rides.v1.Rides", "Quote")`."""

    stub: type
    service: str
    name: str

    def on(self, channel):
        return getattr(self.stub(channel), self.name)


class Service:
    """A service, whose methods are attributes: `Service(RidesStub, "rides.v1.Rides").Quote`."""

    def __init__(self, stub, name):
        self.stub, self.name = stub, name

    def __getattr__(self, method):
        return Method(self.stub, self.name, method)


class Call:
    """A stream of messages, for `async for`, or `next` for one message."""

    def __init__(self, read, cancel):
        self.read, self.cancel = read, cancel

    async def next(self):
        message = await self.read()
        assert message is not END, "the stream has ended"
        return message

    def __aiter__(self):
        return self

    async def __anext__(self):
        message = await self.read()
        if message is END:
            raise StopAsyncIteration
        return message


class Client:
    """A client with one channel to each server."""

    def __init__(self):
        self.channels = {}

    def channel(self, server):
        """Returns a channel with its own connections, so that a check cannot disturb another one."""
        key = (server["address"], server.get("ca"), *server.get("options", []))
        if key not in self.channels:
            options = [("grpc.use_local_subchannel_pool", 1), NO_PROXY, *server.get("options", [])]
            if "ca" in server:
                with open(server["ca"], "rb") as ca:
                    trust = grpc.ssl_channel_credentials(ca.read())
                self.channels[key] = self.api.secure_channel(server["address"], trust, options)
            else:
                self.channels[key] = self.api.insecure_channel(server["address"], options)
        return self.channels[key]

    def open(self, server, method, request, token=None, binary=None, timeout=None, server_timeout=None):
        """Makes a call. `server_timeout` is a deadline that only the server knows, and not the library."""
        metadata = [("authorization", f"Bearer {token}")] if token else []
        if binary:
            metadata.append(("trace-bin", binary))
        if server_timeout:
            metadata.append(("grpc-timeout", f"{round(1000 * server_timeout)}m"))
        return self.call(method.on(self.channel(server)), request, timeout=timeout, metadata=metadata)

    async def ask(self, *args, **terms):
        answers = [answer async for answer in self.open(*args, **terms)]
        assert len(answers) == 1, f"{len(answers)} answers"
        return answers[0]


class Blocking(Client):
    """grpcio with blocking calls, in threads for which the checks wait."""

    id = "grpcio"
    api = grpc

    class said(queue.SimpleQueue):
        def end(self):
            self.put(END)

        def __iter__(self):
            return iter(self.get, END)

    def call(self, rpc, request, **terms):
        if isinstance(rpc, (grpc.StreamUnaryMultiCallable, grpc.StreamStreamMultiCallable)):
            request = iter(request)
        if isinstance(rpc, (grpc.UnaryStreamMultiCallable, grpc.StreamStreamMultiCallable)):
            call = rpc(request, **terms)
            return Call(lambda: asyncio.to_thread(next, call, END), call.cancel)
        call = rpc.future(request, **terms)
        answers = iter([call.result])
        return Call(lambda: asyncio.to_thread(lambda: next(answers, lambda: END)()), call.cancel)


class Asynchronous(Client):
    """grpcio with asyncio (grpc.aio)."""

    id = "grpcio-aio"
    api = grpc.aio

    class said:
        def __init__(self):
            self.queue = asyncio.Queue()

        def put(self, message):
            self.queue.put_nowait(message)

        def end(self):
            self.put(END)

        async def __aiter__(self):
            while (message := await self.queue.get()) is not END:
                yield message

    def call(self, rpc, request, **terms):
        call = rpc(request, **terms)
        if isinstance(rpc, (grpc.aio.UnaryStreamMultiCallable, grpc.aio.StreamStreamMultiCallable)):
            async def read():
                message = await call.read()
                return END if message is grpc.aio.EOF else message
        else:
            answers = iter([call])

            async def read():
                answer = next(answers, END)
                return answer if answer is END else await answer
        return Call(read, call.cancel)

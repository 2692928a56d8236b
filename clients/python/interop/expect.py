"""Expectations about calls, streams and metrics."""

import asyncio
import time
import urllib.request

import grpc
from google.rpc import error_details_pb2, status_pb2

# Opens URLs without the proxy of the environment.
DIRECTLY = urllib.request.build_opener(urllib.request.ProxyHandler({}))
LONG = 15
GLANCE = 0.02


class Failure:
    """A call that ended with a status other than OK, with the details of grpc-status-details-bin."""

    def __init__(self, error):
        self.code, self.message = error.code(), error.details()
        self.trailers = dict(error.trailing_metadata() or ())
        self.status = status_pb2.Status.FromString(self.trailers.get("grpc-status-details-bin", b""))

    def detail(self, kind):
        """Returns the detail of one kind: `detail("BadRequest")`."""
        message = getattr(error_details_pb2, kind)()
        assert any(any_.Unpack(message) for any_ in self.status.details), f"no {kind} in {self.status}"
        return message


async def fails(call, *codes, reason=None):
    """Waits until a call fails with one of the codes and, if given, with the reason in its ErrorInfo."""
    try:
        answer = await call
    except grpc.RpcError as error:
        failure = Failure(error)
    else:
        raise AssertionError(f"the call did not fail with {codes}: {answer}")
    assert failure.code in codes, f"{failure.code} instead of {codes}: {failure.message}"
    if reason:
        info = failure.detail("ErrorInfo")
        assert (info.reason, info.domain) == (reason, "rides.v1"), info
    return failure


def said_by_server(failure, words):
    """Checks that the error comes from the server, and not from the library: by its text and its request id."""
    assert failure.message == words, failure.message
    assert len(failure.detail("RequestInfo").request_id) == 32, failure.status


async def ends_in_time(call, server, method):
    """Makes an endless call twice. It must end at its deadline: once by the library's clock, once only by the server's."""
    await fails(call(timeout=0.4), grpc.StatusCode.DEADLINE_EXCEEDED)
    await in_progress(server, method, 0)
    said_by_server(await fails(call(server_timeout=0.4), grpc.StatusCode.DEADLINE_EXCEEDED), "the call's deadline passed")


async def everything(stream):
    """Reads a stream to its end and returns its messages."""
    return [message async for message in stream]


async def until(what, holds):
    """Waits until a condition holds."""
    end = time.monotonic() + LONG
    while not await holds():
        assert time.monotonic() < end, f"still not true: {what}"
        await asyncio.sleep(GLANCE)


async def figure(server, name):
    """Returns a value from a server's /metrics, or None if it is not there."""
    def read():
        with DIRECTLY.open(f"http://{server['address']}/metrics") as figures:
            lines = figures.read().decode().splitlines()
        return next((float(line[len(name):]) for line in lines if line.startswith(name + " ")), None)
    return await asyncio.to_thread(read)


async def figure_of(server, name, method):
    """Returns the value of a metric for one method."""
    return await figure(server, f'{name}{{method="{method.service}/{method.name}"}}')


async def in_progress(server, method, count):
    """Waits until a server has `count` calls of a method in progress."""
    async def so():
        return await figure_of(server, "rides_open_rpcs", method) == count
    await until(f"{count} {method.name} in progress", so)


async def cancels(call, server, method):
    """Cancels the only call of a method in progress, and waits until the server counts it as cancelled."""
    async def cancelled():
        return await figure(server, f'rides_rpcs_total{{method="{method.service}/{method.name}",code="Cancelled"}}') or 0

    await in_progress(server, method, 1)
    before = await cancelled()
    call.cancel()
    await in_progress(server, method, 0)

    async def counted():
        return await cancelled() == before + 1
    await until("the server counts the call as cancelled", counted)

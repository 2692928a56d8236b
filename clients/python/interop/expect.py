"""Saying what must be."""

import asyncio
import time
import urllib.request

import grpc
from google.rpc import error_details_pb2, status_pb2

# Opens URLs directly, whatever proxy the environment names.
DIRECTLY = urllib.request.build_opener(urllib.request.ProxyHandler({}))
LONG = 15
GLANCE = 0.02


class Failure:
    """A call that ended with another status than OK, with what grpc-status-details-bin holds."""

    def __init__(self, error):
        self.code, self.message = error.code(), error.details()
        self.trailers = dict(error.trailing_metadata() or ())
        self.status = status_pb2.Status.FromString(self.trailers.get("grpc-status-details-bin", b""))

    def detail(self, kind):
        """The detail of one kind: `detail("BadRequest")`."""
        message = getattr(error_details_pb2, kind)()
        assert any(any_.Unpack(message) for any_ in self.status.details), f"no {kind} in {self.status}"
        return message


async def fails(call, *codes, reason=None):
    """Waits for a call to fail with one of these codes and, if one is named, this reason in its ErrorInfo."""
    try:
        answer = await call
    except grpc.RpcError as error:
        failure = Failure(error)
    else:
        raise AssertionError(f"it did not fail with {codes}: {answer}")
    assert failure.code in codes, f"{failure.code} instead of {codes}: {failure.message}"
    if reason:
        info = failure.detail("ErrorInfo")
        assert (info.reason, info.domain) == (reason, "rides.v1"), info
    return failure


def said_by_server(failure, words):
    """It is the server that says so, in its own words and with the name that its log has for the call, and no library."""
    assert failure.message == words, failure.message
    assert len(failure.detail("RequestInfo").request_id) == 32, failure.status


async def ends_in_time(call, server, method):
    """Makes a call that has no end twice: it ends at its deadline by the library's clock, and by the server's alone."""
    await fails(call(timeout=0.4), grpc.StatusCode.DEADLINE_EXCEEDED)
    await in_progress(server, method, 0)
    said_by_server(await fails(call(server_timeout=0.4), grpc.StatusCode.DEADLINE_EXCEEDED), "the call's deadline passed")


async def everything(stream):
    """Reads a stream to its end and returns what it held."""
    return [message async for message in stream]


async def until(what, holds):
    """Waits until something is so, however busy the machine is."""
    end = time.monotonic() + LONG
    while not await holds():
        assert time.monotonic() < end, f"never so: {what}"
        await asyncio.sleep(GLANCE)


async def figure(server, name):
    """A figure of a server's /metrics; None when it is not there."""
    def read():
        with DIRECTLY.open(f"http://{server['address']}/metrics") as figures:
            lines = figures.read().decode().splitlines()
        return next((float(line[len(name):]) for line in lines if line.startswith(name + " ")), None)
    return await asyncio.to_thread(read)


async def figure_of(server, name, method):
    """One that is kept for each method."""
    return await figure(server, f'{name}{{method="{method.service}/{method.name}"}}')


async def in_progress(server, method, count):
    """Waits until a server has as many calls of a method in progress."""
    async def so():
        return await figure_of(server, "rides_open_rpcs", method) == count
    await until(f"{count} {method.name} in progress", so)


async def cancels(call, server, method):
    """Cancels the one call of a method that is in progress: the server has no more of it, and counts it as cancelled."""
    async def cancelled():
        return await figure(server, f'rides_rpcs_total{{method="{method.service}/{method.name}",code="Cancelled"}}') or 0

    await in_progress(server, method, 1)
    before = await cancelled()
    call.cancel()
    await in_progress(server, method, 0)

    async def counted():
        return await cancelled() == before + 1
    await until("it is counted", counted)

"""Calls two servers that stop and start in turn, until it is interrupted: no call may be lost.

`python -m interop.rolling POLICY HOST:PORT HOST:PORT`. It prints "ready" when every caller has had a response, and one line
of JSON at its end. It repeats no call, and has no retry policy."""

import asyncio
import json
import signal
import sys

import grpc
import grpc.aio

from rides.v1.fleet_pb2_grpc import FleetStub
from rides.v1.rides_pb2 import ListRequest
from rides.v1.rides_pb2_grpc import RidesStub
from rides_channel import NO_PROXY, ONE_NAME

from .places import VIEW

CALLERS = 16


class Tally:
    def __init__(self):
        self.calls = self.streams = 0
        self.lost = []
        self.over = asyncio.Event()


async def call(channel, tally):
    """Makes one call."""
    tally.calls += 1
    try:
        await RidesStub(channel).List(ListRequest(rider_id="nobody"))
    except grpc.aio.AioRpcError as error:
        tally.lost.append(f"{error.code().name}: {error.details()}")


async def watch(channel, tally):
    """Reads a stream to its end. An end with UNAVAILABLE is no loss: the server asks the client to reconnect."""
    tally.streams += 1
    begun = False
    try:
        async for _ in FleetStub(channel).Watch(VIEW):
            begun = True
            if tally.over.is_set():
                return
    except grpc.aio.AioRpcError as error:
        if not begun or error.code() is not grpc.StatusCode.UNAVAILABLE:
            tally.lost.append(f"a stream, begun: {begun}: {error.code().name}: {error.details()}")


async def again_and_again(ask, channel, tally):
    while not tally.over.is_set():
        await ask(channel, tally)


async def main(policy, *addresses):
    tally = Tally()
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, tally.over.set)
    options = [("grpc.lb_policy_name", policy), ONE_NAME, NO_PROXY]
    async with grpc.aio.insecure_channel(f"ipv4:{','.join(addresses)}", options) as channel:
        await asyncio.gather(*(call(channel, tally) for _ in range(CALLERS)))
        print("ready" if not tally.lost else tally.lost[0], flush=True)
        callers = (again_and_again(call, channel, tally) for _ in range(CALLERS))
        await asyncio.gather(again_and_again(watch, channel, tally), *callers)
    print(json.dumps({"calls": tally.calls, "streams": tally.streams, "lost": tally.lost}))


asyncio.run(main(*sys.argv[1:]))

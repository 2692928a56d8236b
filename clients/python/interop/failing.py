"""The checks of servers that stop, and of servers that are unavailable for a while."""

import asyncio
import contextlib
import subprocess

import grpc.aio
from google.rpc import error_details_pb2, status_pb2
from grpc import StatusCode
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from rides.v1 import rides_pb2 as r
from rides.v1 import rides_pb2_grpc
from rides_channel import NO_PROXY, ONE_NAME, RETRIES, ROUND_ROBIN
from .expect import everything, fails, figure, until
from .places import HARBOUR, SQUARE, Health, Rides

SERVED = 'rides_rpcs_total{method="rides.v1.Rides/Quote",code="Ok"}'
TRIP = r.QuoteRequest(pickup=SQUARE, dropoff=HARBOUR)


class Server:
    """A separate server, for a check that stops it."""

    def __init__(self, program):
        flags = ["--listen=127.0.0.1:0", "--data-dir=:memory:", "--cars=0", "--log=off"]
        self.process = subprocess.Popen([program, *flags], stdout=subprocess.PIPE, text=True)

    async def address(self):
        line = await asyncio.to_thread(self.process.stdout.readline)
        return line.strip().split("//")[1]

    async def stop(self):
        self.process.terminate()
        await asyncio.to_thread(self.process.wait)


async def one_of_two_stops(client, to):
    servers = [Server(to.program), Server(to.program)]
    try:
        addresses = await asyncio.gather(*(server.address() for server in servers))
        options = [("grpc.service_config", ROUND_ROBIN), ONE_NAME]
        both = {"address": "ipv4:" + ",".join(addresses), "options": options}

        async def served(address):
            return await figure({"address": address}, SERVED) or 0

        async def both_have_calls():
            await client.ask(both, Rides.Quote, TRIP, timeout=10)
            return all([await served(address) for address in addresses])

        await until("both servers have calls", both_have_calls)
        await servers[0].stop()
        before = await served(addresses[1])
        for _ in range(20):
            assert (await client.ask(both, Rides.Quote, TRIP, timeout=10)).HasField("fare")

        async def other_has_answered():
            return await served(addresses[1]) == before + 20
        await until("the other server has handled all calls", other_has_answered)
    finally:
        for server in servers:
            await server.stop()


class Reluctant(rides_pb2_grpc.RidesServicer):
    """A proxy in front of a server that refuses the first calls."""

    def __init__(self, server, refusals):
        self.rides = rides_pb2_grpc.RidesStub(grpc.aio.insecure_channel(server["address"], [NO_PROXY]))
        self.refusals = refusals
        self.attempts = []

    async def Quote(self, request, context):
        # The number of earlier attempts of the same call.
        self.attempts.append(int(dict(context.invocation_metadata()).get("grpc-previous-rpc-attempts", 0)))
        if len(self.attempts) <= self.refusals:
            await context.abort(StatusCode.UNAVAILABLE, "not yet", (("grpc-status-details-bin", NOT_YET),))
        return await self.rides.Quote(request)

    @contextlib.asynccontextmanager
    async def serving(self):
        server = grpc.aio.server()
        rides_pb2_grpc.add_RidesServicer_to_server(self, server)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        try:
            yield f"127.0.0.1:{port}"
        finally:
            await server.stop(None)


def not_yet():
    """Returns the status of a Rides server during shutdown."""
    status = status_pb2.Status(code=StatusCode.UNAVAILABLE.value[0], message="not yet")
    status.details.add().Pack(error_details_pb2.RetryInfo(retry_delay={"seconds": 1}))
    return status.SerializeToString()


NOT_YET = not_yet()


async def tried_again(client, to):
    front = Reluctant(to.open, refusals=3)
    async with front.serving() as address:
        await fails(client.ask({"address": address}, Rides.Quote, TRIP), StatusCode.UNAVAILABLE)
        again = {"address": address, "options": [("grpc.service_config", RETRIES)]}
        assert (await client.ask(again, Rides.Quote, TRIP, timeout=10)).HasField("fare")
    assert front.attempts == [0, 0, 1, 2], front.attempts


async def health_as_it_changes(client, to):
    server = Server(to.program)
    try:
        request = HealthCheckRequest(service="rides.v1.Rides")
        health = client.open({"address": await server.address()}, Health.Watch, request)
        assert (await health.next()).status == HealthCheckResponse.SERVING
        await server.stop()
        assert (await health.next()).status == HealthCheckResponse.NOT_SERVING
        failure = await fails(everything(health), StatusCode.UNAVAILABLE)
        assert failure.detail("RetryInfo").retry_delay.seconds == 1
    finally:
        await server.stop()

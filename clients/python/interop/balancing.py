"""Two addresses behind one name, and one of them stops."""

import asyncio
import subprocess

from rides.v1 import rides_pb2 as r
from rides_channel import ONE_NAME, ROUND_ROBIN
from .expect import figure, until
from .places import HARBOUR, SQUARE, Rides

SERVED = 'rides_rpcs_total{method="rides.v1.Rides/Quote",code="Ok"}'


class Server:
    """One of its own, for a check that stops it."""

    def __init__(self, program):
        flags = ["--listen=127.0.0.1:0", "--data-dir=:memory:", "--cars=0", "--log=off"]
        self.process = subprocess.Popen([program, *flags], stdout=subprocess.PIPE, text=True)

    async def address(self):
        line = await asyncio.to_thread(self.process.stdout.readline)
        return line.strip().split("//")[1]

    async def stop(self):
        self.process.terminate()
        await asyncio.to_thread(self.process.wait)


async def one_of_two_servers_stops(client, to):
    servers = [Server(to.program), Server(to.program)]
    try:
        addresses = await asyncio.gather(*(server.address() for server in servers))
        options = [("grpc.service_config", ROUND_ROBIN), ONE_NAME]
        both = {"address": "ipv4:" + ",".join(addresses), "options": options}

        async def quote():
            return await client.ask(both, Rides.Quote, r.QuoteRequest(pickup=SQUARE, dropoff=HARBOUR), timeout=10)

        async def served(address):
            return await figure({"address": address}, SERVED)

        async def both_have_calls():
            await quote()
            return all([await served(address) for address in addresses])

        await until("both have calls", both_have_calls)
        await servers[0].stop()
        before = await served(addresses[1])
        for _ in range(20):
            assert (await quote()).HasField("fare")
        assert await served(addresses[1]) == before + 20
    finally:
        for server in servers:
            await server.stop()

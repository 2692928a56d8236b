"""The checks of bidirectional streaming."""

from google.protobuf import descriptor_pb2, message_factory
from google.protobuf.descriptor_pool import DescriptorPool
from grpc import StatusCode
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from rides.v1 import rides_pb2 as r
from rides.v1.fleet_pb2 import DriveRequest
from .client import Method, Service
from .expect import cancels, ends_in_time, everything, fails, until
from .places import HARBOUR, SQUARE, Fleet, Rides, any_car, booking


def sign_on(car):
    return DriveRequest(sign_on=DriveRequest.SignOn(car_id=car, driver_id="aino", location=SQUARE))


class Driver:
    """The client of a Fleet.Drive stream."""

    def __init__(self, client, server, **terms):
        self.up = client.said()
        self.down = client.open(server, Fleet.Drive, self.up, **terms)

    @classmethod
    async def signs_on(cls, client, server, car=None, **terms):
        driver = cls(client, server, **terms)
        driver.up.put(sign_on(car or any_car()))
        await driver.hears("signed_on")
        return driver

    def says(self, **message):
        self.up.put(DriveRequest(**message))

    async def hears(self, kind):
        """Returns the next message of a kind, and skips all others."""
        while (message := await self.down.next()).WhichOneof("message") != kind:
            pass
        return getattr(message, kind)

    async def signs_off(self):
        self.says(sign_off=DriveRequest.SignOff())
        self.up.end()
        await everything(self.down)


async def a_drivers_day(client, to):
    driver = await Driver.signs_on(client, to.open)
    driver.says(position=DriveRequest.Position(location=SQUARE, heading_deg=90))
    driver.says(arrive=DriveRequest.Arrive(ride_id="nonsense"))
    assert (await driver.hears("refused")).reason == "NO_SUCH_RIDE"

    ride_id = (await client.ask(to.open, Rides.Book, booking())).ride.ride_id
    while (await driver.hears("offer")).ride_id != ride_id:
        pass
    driver.says(accept=DriveRequest.AcceptOffer(ride_id=ride_id))
    assert (await driver.hears("assignment")).ride.state == r.RIDE_STATE_ASSIGNED
    for message, state in (
        ({"arrive": DriveRequest.Arrive(ride_id=ride_id)}, r.RIDE_STATE_ARRIVED),
        ({"pick_up": DriveRequest.PickUp(ride_id=ride_id)}, r.RIDE_STATE_ON_TRIP),
        ({"drop_off": DriveRequest.DropOff(ride_id=ride_id)}, r.RIDE_STATE_COMPLETED),
    ):
        driver.says(**message)
        assert (await driver.hears("update")).ride.state == state
    await driver.signs_off()
    ride = (await client.ask(to.open, Rides.Get, r.GetRequest(ride_id=ride_id))).ride
    assert ride.state == r.RIDE_STATE_COMPLETED


async def not_signed_on(client, to):
    driver = Driver(client, to.open)
    driver.says(position=DriveRequest.Position(location=SQUARE))
    await fails(everything(driver.down), StatusCode.FAILED_PRECONDITION, reason="NOT_SIGNED_ON")
    driver.up.end()


async def signed_on_elsewhere(client, to):
    car = any_car()
    first = await Driver.signs_on(client, to.open, car)
    second = await Driver.signs_on(client, to.open, car)
    await fails(everything(first.down), StatusCode.ABORTED, reason="SIGNED_ON_ELSEWHERE")
    first.up.end()
    await second.signs_off()


async def deadline(client, to):
    drivers = []

    def day(**terms):
        drivers.append(Driver(client, to.open, **terms))
        drivers[-1].up.put(sign_on(any_car()))
        return everything(drivers[-1].down)
    await ends_in_time(day, to.open, Fleet.Drive)
    for driver in drivers:
        driver.up.end()


async def cancel(client, to):
    driver = await Driver.signs_on(client, to.open)
    await cancels(driver.down, to.open, Fleet.Drive)
    driver.up.end()


async def as_fast_as_it_can(client, to):
    driver = await Driver.signs_on(client, to.open)
    for _ in range(20_000):
        driver.says(position=DriveRequest.Position(location=SQUARE))
    ride = (await client.ask(to.open, Rides.Book, booking())).ride
    await client.ask(to.open, Rides.Cancel, r.CancelRequest(ride_id=ride.ride_id))
    await driver.signs_off()


async def stops_reading(client, to):
    driver = await Driver.signs_on(client, to.open)
    nonsense = DriveRequest(arrive=DriveRequest.Arrive(ride_id="x" * 128))

    async def let_go():
        for _ in range(200):  # The server refuses each of them in a message that this client does not read.
            driver.up.put(nonsense)
        quote = await client.ask(to.open, Rides.Quote, r.QuoteRequest(pickup=SQUARE, dropoff=HARBOUR))
        return not quote.HasField("pickup_eta")
    await until("the server ends the stream", let_go)
    # When grpc.aio can no longer write, it fails the call itself and does not read the status.
    codes = [StatusCode.RESOURCE_EXHAUSTED] + [StatusCode.INTERNAL] * (client.id == "grpcio-aio")
    await fails(everything(driver.down), *codes)
    driver.up.end()


async def over_tls(client, to):
    await (await Driver.signs_on(client, to.tls)).signs_off()


async def with_a_token(client, to):
    token = to.tokens["driver"]
    await (await Driver.signs_on(client, to.strict, to.car, token=token)).signs_off()
    another = Driver(client, to.strict, token=token)
    another.up.put(sign_on(to.car + 1))
    await fails(everything(another.down), StatusCode.PERMISSION_DENIED, reason="NOT_YOUR_CAR")
    another.up.end()


async def reflection_v1(client, to):
    await reflected(client, to.open, "v1")


async def reflection_v1alpha(client, to):
    await reflected(client, to.open, "v1alpha")


async def a_call_by_reflection_alone(client, to):
    pool = await reflected(client, to.open, "v1")
    quote = pool.FindMethodByName("rides.v1.Rides.Quote")
    Request, Answer = map(message_factory.GetMessageClass, (quote.input_type, quote.output_type))
    assert Request is not r.QuoteRequest, "the message class must come from reflection"

    class Stub:
        def __init__(self, channel):
            self.Quote = channel.unary_unary(
                "/rides.v1.Rides/Quote", Request.SerializeToString, Answer.FromString)

    request = Request()
    request.pickup.lat, request.pickup.lng = SQUARE.lat, SQUARE.lng
    request.dropoff.lat, request.dropoff.lng = HARBOUR.lat, HARBOUR.lng
    answer = await client.ask(to.open, Method(Stub, "rides.v1.Rides", "Quote"), request)
    assert answer.fare.currency == "EUR"


async def reflected(client, server, version):
    """Reads the descriptors of all services of a server by reflection, and returns their pool."""
    asked = client.said()
    answers = client.open(server, reflection(version).ServerReflectionInfo, asked)

    async def ask(**request):
        asked.put(reflection_pb2.ServerReflectionRequest(**request))
        return await answers.next()

    nobody = (await ask(file_containing_symbol="rides.v1.Nobody")).error_response
    assert nobody.error_code == StatusCode.NOT_FOUND.value[0], nobody
    services = [service.name for service in (await ask(list_services="")).list_services_response.service]
    for name in ("rides.v1.Rides", "rides.v1.Fleet", "rides.v1.City", "rides.v1.Sessions", "grpc.health.v1.Health"):
        assert name in services, services

    def files(answer):
        protos = answer.file_descriptor_response.file_descriptor_proto
        return [descriptor_pb2.FileDescriptorProto.FromString(proto) for proto in protos]

    pool, added = DescriptorPool(), set()

    async def add(file):
        if file.name in added:
            return
        added.add(file.name)
        for name in file.dependency:
            for dependency in files(await ask(file_by_filename=name)):
                await add(dependency)
        pool.Add(file)

    for name in services:
        for file in files(await ask(file_containing_symbol=name)):
            await add(file)
        assert pool.FindServiceByName(name).methods, f"{name} is not described"
    asked.end()
    await everything(answers)
    return pool


def reflection(version):
    """Returns the reflection service of a version. Both have the same messages, and the package has only v1alpha."""
    def stub(channel):
        if version == "v1alpha":
            return reflection_pb2_grpc.ServerReflectionStub(channel)

        class Stub:
            ServerReflectionInfo = channel.stream_stream(
                "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
                reflection_pb2.ServerReflectionRequest.SerializeToString,
                reflection_pb2.ServerReflectionResponse.FromString)
        return Stub

    return Service(stub, f"grpc.reflection.{version}.ServerReflection")

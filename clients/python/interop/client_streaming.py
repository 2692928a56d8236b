"""The checks of client streaming."""

import time

import older_pb2
from grpc import StatusCode

from rides.v1.rides_pb2 import TrackRequest
from .expect import cancels, ends_in_time, fails, figure_of
from .places import NOWHERE, SQUARE, Older, Rides, any_car


def track(client, server, messages, **terms):
    return client.ask(server, Rides.Track, messages, **terms)


def many(count, car=None):
    return [TrackRequest(car_id=car or any_car(), location=SQUARE)] * count


async def counted(client, server, count):
    """Checks that the server applied every position, by its response and by its metrics."""
    async def received():
        return await figure_of(server, "rides_rpc_messages_received_total", Rides.Track)

    before = await received()
    assert (await track(client, server, many(count))).count == count
    assert await received() - before == count


def endless(client):
    """Returns the beginning of an upload that never ends."""
    said = client.said()
    said.put(TrackRequest(car_id=any_car(), location=SQUARE))
    return said


async def positions(client, to):
    await counted(client, to.open, 100)


async def twenty_thousand_at_once(client, to):
    await counted(client, to.open, 20_000)


async def a_million_positions(client, to):
    await counted(client, to.open, 1_000_000)


async def a_bad_position(client, to):
    sent = [*many(3), TrackRequest(car_id=1, location=NOWHERE)]
    failure = await fails(track(client, to.open, sent), StatusCode.INVALID_ARGUMENT, reason="NOT_ON_EARTH")
    assert failure.detail("BadRequest").field_violations[0].field == "positions[3].location"
    assert failure.detail("ErrorInfo").metadata["positions_taken"] == "3"


async def faster_than_allowed(client, to):
    begun = time.monotonic()
    assert (await track(client, to.strict, many(200), token=to.tokens["dispatcher"])).count == 200
    assert time.monotonic() - begun > 0.5, "the upload was not throttled"


async def deadline(client, to):
    said = []

    def upload(**terms):
        said.append(endless(client))
        return track(client, to.open, said[-1], **terms)
    await ends_in_time(upload, to.open, Rides.Track)
    for messages in said:
        messages.end()


async def cancel(client, to):
    said = endless(client)
    upload = client.open(to.open, Rides.Track, said)
    await cancels(upload, to.open, Rides.Track)
    said.end()


async def over_tls(client, to):
    assert (await track(client, to.tls, many(100))).count == 100


async def with_a_token(client, to):
    token, car = to.tokens["driver"], to.car
    assert (await track(client, to.strict, many(10, car), token=token)).count == 10
    another = track(client, to.strict, many(1, car + 1), token=token)
    await fails(another, StatusCode.PERMISSION_DENIED, reason="NOT_YOUR_CAR")


async def older_path(client, to):
    here = older_pb2.Location(lat=SQUARE.lat, lng=SQUARE.lng)
    sent = [older_pb2.TrackRequest(car_id=any_car(), location=here)] * 3
    assert (await client.ask(to.open, Older.Track, sent)).count == 3

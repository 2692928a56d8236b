"""The checks of server streaming."""

import json
import time
import uuid

from grpc import StatusCode
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from rides.v1 import rides_pb2 as r
from rides.v1 import city_pb2, sessions_pb2
from .expect import cancels, ends_in_time, everything, fails, figure, in_progress, until
from .places import (
    HARBOUR, VIEW, City, Fleet, Health, Rides, Sessions, a_ride, any_car, is_in, somewhere, unique)


def watched(client, server, ride_id, epoch="", after_version=0, **terms):
    request = r.WatchRequest(ride_id=ride_id, epoch=epoch, after_version=after_version)
    return client.open(server, Rides.Watch, request, **terms)


def story(messages):
    """Returns the version and the kind of each event in the messages."""
    events = [message.event for message in messages if message.WhichOneof("message") == "event"]
    return [(event.version, event.WhichOneof("event")) for event in events]


WHOLE = [(1, "requested"), (2, "cancelled")]


async def a_ride_to_its_end(client, to):
    ride_id, call_off = await a_ride(client, to.open)
    await call_off()
    messages = await everything(watched(client, to.open, ride_id))
    assert messages[0].WhichOneof("message") == "opened"
    assert story(messages) == WHOLE, messages


async def live_events(client, to):
    ride_id, call_off = await a_ride(client, to.open)
    messages = watched(client, to.open, ride_id)
    assert story([await messages.next(), await messages.next()]) == WHOLE[:1]
    await call_off()
    assert story(await everything(messages)) == WHOLE[1:]


async def resume(client, to):
    ride_id, call_off = await a_ride(client, to.open)
    await call_off()
    epoch = (await everything(watched(client, to.open, ride_id)))[0].opened.epoch
    resumed = await everything(watched(client, to.open, ride_id, epoch, 1))
    assert resumed[0].opened.resumed and story(resumed) == WHOLE[1:]
    anew = await everything(watched(client, to.open, ride_id, str(uuid.uuid4()), 1))
    assert not anew[0].opened.resumed and story(anew) == WHOLE


async def cars_in_view(client, to):
    here = somewhere()
    wish = r.StartRequest(car_id=any_car(), driver_id="aino", location=here)
    ride_id = (await client.ask(to.open, Rides.Start, wish)).id
    frames = client.open(to.open, Fleet.Watch, VIEW)
    while not any(is_in(cell, here) for cell in (await frames.next()).cells):
        pass
    frames.cancel()
    await client.ask(to.open, Rides.End, r.EndRequest(ride_id=ride_id, location=HARBOUR))


async def the_whole_map(client, to):
    await whole_map(client, to.open)


async def health_watched(client, to):
    health = client.open(to.open, Health.Watch, HealthCheckRequest(service="rides.v1.Rides"))
    assert (await health.next()).status == HealthCheckResponse.SERVING
    health.cancel()
    await in_progress(to.open, Health.Watch, 0)


async def an_error_before_any_message(client, to):
    await fails(everything(watched(client, to.open, "nonsense")), StatusCode.NOT_FOUND, reason="NO_SUCH_RIDE")


async def deadline(client, to):
    ride_id, call_off = await a_ride(client, to.open)
    await ends_in_time(lambda **terms: everything(watched(client, to.open, ride_id, **terms)), to.open, Rides.Watch)
    await call_off()


async def cancel(client, to):
    ride_id, call_off = await a_ride(client, to.open)
    messages = watched(client, to.open, ride_id)
    await messages.next()
    await cancels(messages, to.open, Rides.Watch)
    await call_off()


# A retry policy with a delay of only one millisecond, unless the server asks for a longer one.
RETRIES = json.dumps({
    "methodConfig": [{
        "name": [{"service": "rides.v1.Fleet", "method": "Watch"}],
        "retryPolicy": {
            "maxAttempts": 2,
            "initialBackoff": "0.001s",
            "maxBackoff": "0.001s",
            "backoffMultiplier": 1,
            "retryableStatusCodes": ["RESOURCE_EXHAUSTED"],
        },
    }],
})


async def when_to_come_again(client, to):
    token = to.tokens["dispatcher"]
    only = client.open(to.strict, Fleet.Watch, VIEW, token=token)
    await only.next()
    second = everything(client.open(to.strict, Fleet.Watch, VIEW, token=token))
    failure = await fails(second, StatusCode.RESOURCE_EXHAUSTED, reason="TOO_MANY_VIEWERS")
    assert failure.detail("RetryInfo").retry_delay.seconds == 5
    assert failure.trailers["grpc-retry-pushback-ms"] == "5000"

    async def refusals():
        return await figure(to.strict, 'rides_rpcs_total{method="rides.v1.Fleet/Watch",code="ResourceExhausted"}')

    # With a retry policy grpcio repeats the call itself, after the delay that the server asks for.
    before, begun = await refusals(), time.monotonic()
    retries = {**to.strict, "options": [("grpc.service_config", RETRIES)]}
    again = client.open(retries, Fleet.Watch, VIEW, token=token)

    async def refused():
        return await refusals() == before + 1
    await until("the first attempt is refused", refused)
    only.cancel()
    assert (await again.next()).tick > 0
    assert 4.5 < time.monotonic() - begun < 15
    again.cancel()
    await in_progress(to.strict, Fleet.Watch, 0)


async def over_tls(client, to):
    await whole_map(client, to.tls)


async def with_a_token(client, to):
    wish = sessions_pb2.SignInRequest(name=unique("Ada"))
    token = (await client.ask(to.strict, Sessions.SignIn, wish)).token
    ride_id, call_off = await a_ride(client, to.strict, token=token)
    await call_off()
    assert story(await everything(watched(client, to.strict, ride_id, token=token))) == WHOLE
    await fails(everything(watched(client, to.strict, ride_id)), StatusCode.UNAUTHENTICATED, reason="NO_TOKEN")


async def whole_map(client, server):
    first, *parts = await everything(client.open(server, City.GetMap, city_pb2.GetMapRequest()))
    assert first.info.name == "Helsinki" and len(parts) > 1
    for what in ("streets", "areas", "rails"):
        assert sum(len(getattr(part, what)) for part in parts) == getattr(first.info, what), what

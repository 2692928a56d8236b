"""The checks of unary calls."""

import asyncio

import grpc
import older_pb2
from grpc import StatusCode
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse, HealthListRequest

from rides.v1 import rides_pb2 as r
from rides.v1 import city_pb2, sessions_pb2
from .client import Method
from .expect import cancels, ends_in_time, fails, said_by_server
from .places import (
    AT_SEA, HARBOUR, NOWHERE, SQUARE, City, Health, Older, Rides, Sessions, a_ride, any_car, booking, unique)

TRIP = r.QuoteRequest(pickup=SQUARE, dropoff=HARBOUR, type=r.POOL)


def states(count, **more):
    """Returns a List request of `count` states, each of which is one byte on the wire."""
    return r.ListRequest(states=[r.RIDE_STATE_EXPIRED] * count, **more)


async def guest(client, server):
    """Returns the token of a new guest."""
    return (await client.ask(server, Sessions.SignIn, sessions_pb2.SignInRequest(name="Ada"))).token


async def quote(client, to):
    quote = await client.ask(to.open, Rides.Quote, TRIP)
    assert quote.fare.currency == "EUR" and quote.fare.minor_units > 0
    assert quote.trip_distance_m > 100 and len(quote.route.microdegrees) >= 4


async def book_get_cancel(client, to):
    ride = (await client.ask(to.open, Rides.Book, booking())).ride
    assert (await client.ask(to.open, Rides.Get, r.GetRequest(ride_id=ride.ride_id))).ride.version == ride.version
    wish = r.CancelRequest(ride_id=ride.ride_id, reason="a tram came")
    cancelled = (await client.ask(to.open, Rides.Cancel, wish)).ride
    assert (cancelled.state, cancelled.cancel_reason) == (r.RIDE_STATE_CANCELLED, "a tram came")


async def book_twice(client, to):
    wish = booking()
    ride = (await client.ask(to.open, Rides.Book, wish)).ride
    assert (await client.ask(to.open, Rides.Book, wish)).ride.ride_id == ride.ride_id
    wish.type = r.POOL
    await fails(client.ask(to.open, Rides.Book, wish), StatusCode.INVALID_ARGUMENT, reason="KEY_REUSED")
    await client.ask(to.open, Rides.Cancel, r.CancelRequest(ride_id=ride.ride_id))


async def list_in_pages(client, to):
    rider, booked = unique("rider"), []
    for _ in range(3):
        ride_id = (await client.ask(to.open, Rides.Book, booking(rider_id=rider))).ride.ride_id
        await client.ask(to.open, Rides.Cancel, r.CancelRequest(ride_id=ride_id))
        booked.insert(0, ride_id)
    request, pages = r.ListRequest(rider_id=rider, page_size=2), []
    while not pages or request.page_token:
        page = await client.ask(to.open, Rides.List, request)
        pages.append([ride.ride_id for ride in page.rides])
        request.page_token = page.next_page_token
    assert pages == [booked[:2], booked[2:]], pages


async def start_and_end(client, to):
    wish = r.StartRequest(car_id=any_car(), driver_id="aino", location=SQUARE)
    started = await client.ask(to.open, Rides.Start, wish)
    ended = await client.ask(to.open, Rides.End, r.EndRequest(ride_id=started.id, location=HARBOUR))
    assert ended.ride.state == r.RIDE_STATE_COMPLETED


async def find_places(client, to):
    found = await client.ask(to.open, City.FindPlaces, city_pb2.FindPlacesRequest(query="mannerheimintie"))
    assert found.places[0].name == "Mannerheimintie"


async def sign_in(client, to):
    signed_in = await client.ask(to.strict, Sessions.SignIn, sessions_pb2.SignInRequest(name="Ada"))
    assert signed_in.session.role == sessions_pb2.ROLE_RIDER
    renewed = await client.ask(to.strict, Sessions.Renew, sessions_pb2.RenewRequest(), token=signed_in.token)
    for token in (signed_in.token, renewed.token):
        answer = await client.ask(to.strict, Sessions.WhoAmI, sessions_pb2.WhoAmIRequest(), token=token)
        assert answer.session.subject == signed_in.session.subject


async def sign_out_revoke(client, to):
    ada, bob = [await client.ask(to.strict, Sessions.SignIn, sessions_pb2.SignInRequest(name=name)) for name in ("Ada", "Bob")]
    await client.ask(to.strict, Sessions.SignOut, sessions_pb2.SignOutRequest(), token=ada.token)
    revoked = sessions_pb2.RevokeRequest(session_id=bob.session.session_id)
    await client.ask(to.strict, Sessions.Revoke, revoked, token=to.tokens["dispatcher"])
    for over in (ada, bob):
        call = client.ask(to.strict, Sessions.WhoAmI, sessions_pb2.WhoAmIRequest(), token=over.token)
        await fails(call, StatusCode.UNAUTHENTICATED, reason="SESSION_OVER")


async def health(client, to):
    for service in ("", "rides.v1.Rides"):
        answer = await client.ask(to.open, Health.Check, HealthCheckRequest(service=service))
        assert answer.status == HealthCheckResponse.SERVING
    listed = (await client.ask(to.open, Health.List, HealthListRequest())).statuses
    assert listed[""].status == listed["rides.v1.Rides"].status == HealthCheckResponse.SERVING
    nobody = HealthCheckRequest(service="rides.v1.Nobody")
    await fails(client.ask(to.open, Health.Check, nobody), StatusCode.NOT_FOUND)


async def unicode(client, to):
    rider, passengers, reason = "Äiti 東京 🚕", ["ﷺ", "e\u0301", "\U0001F469\u200D\U0001F680"], "строка ☂"
    wish = booking(rider_id=rider, passenger_ids=passengers)
    ride_id = (await client.ask(to.open, Rides.Book, wish)).ride.ride_id
    await client.ask(to.open, Rides.Cancel, r.CancelRequest(ride_id=ride_id, reason=reason))
    ride = (await client.ask(to.open, Rides.Get, r.GetRequest(ride_id=ride_id))).ride
    assert (ride.rider_id, list(ride.passenger_ids), ride.cancel_reason) == (rider, passengers, reason)


async def largest_request(client, to):
    await client.ask(to.open, Rides.List, states(65_000, rider_id=unique("nobody")))


async def too_large_a_request(client, to):
    await fails(client.ask(to.open, Rides.List, states(70_000)), StatusCode.RESOURCE_EXHAUSTED, reason="MESSAGE_TOO_LARGE")


async def bad_field(client, to):
    for field, place, reason in (("dropoff", NOWHERE, "NOT_ON_EARTH"), ("pickup", AT_SEA, "OFF_MAP")):
        wish = r.QuoteRequest(**{"pickup": SQUARE, "dropoff": HARBOUR, field: place})
        failure = await fails(client.ask(to.open, Rides.Quote, wish), StatusCode.INVALID_ARGUMENT, reason=reason)
        assert failure.detail("BadRequest").field_violations[0].field == field


async def no_such_ride(client, to):
    wish = r.GetRequest(ride_id="nonsense")
    failure = await fails(client.ask(to.open, Rides.Get, wish), StatusCode.NOT_FOUND, reason="NO_SUCH_RIDE")
    assert failure.message


async def unknown_method(client, to):
    class Stub:
        def __init__(self, channel):
            self.Nonsense = channel.unary_unary("/rides.v1.Rides/Nonsense")

    call = client.ask(to.open, Method(Stub, "rides.v1.Rides", "Nonsense"), b"")
    said_by_server(await fails(call, StatusCode.UNIMPLEMENTED), "this server has no such method")


async def binary_metadata(client, to):
    await client.ask(to.open, Rides.Quote, TRIP, binary=bytes(range(256)))
    failure = await fails(client.ask(to.open, Rides.Get, r.GetRequest(ride_id="nonsense")), StatusCode.NOT_FOUND)
    assert (failure.status.code, failure.status.message) == (StatusCode.NOT_FOUND.value[0], failure.message)


async def deadline(client, to):
    tokens = [await guest(client, to.busy), await guest(client, to.busy)]

    def call(**terms):
        return client.ask(to.busy, Sessions.SignOut, sessions_pb2.SignOutRequest(), token=tokens.pop(), **terms)
    await ends_in_time(call, to.busy, Sessions.SignOut)


async def cancel(client, to):
    token = await guest(client, to.busy)
    call = client.open(to.busy, Sessions.SignOut, sessions_pb2.SignOutRequest(), token=token)
    await cancels(call, to.busy, Sessions.SignOut)
    try:
        raise AssertionError(f"the cancelled call got a response: {await call.next()}")
    except (grpc.FutureCancelledError, asyncio.CancelledError):
        pass  # The blocking client raises the first, the asynchronous one the second.


async def over_tls(client, to):
    assert (await client.ask(to.tls, Rides.Quote, TRIP)).fare.minor_units > 0


async def over_tls_of_a_ca_unknown(client, to):
    await fails(client.ask(to.distrusted, Rides.Quote, TRIP, timeout=10), StatusCode.UNAVAILABLE)


async def with_a_token(client, to):
    ada, bob = await guest(client, to.strict), await guest(client, to.strict)
    ride_id, call_off = await a_ride(client, to.strict, token=ada)
    wish = r.GetRequest(ride_id=ride_id)
    await client.ask(to.strict, Rides.Get, wish, token=ada)
    await fails(client.ask(to.strict, Rides.Get, wish, token=bob), StatusCode.NOT_FOUND, reason="NO_SUCH_RIDE")
    await call_off()


async def without_a_token(client, to):
    await fails(client.ask(to.strict, Rides.List, r.ListRequest()), StatusCode.UNAUTHENTICATED, reason="NO_TOKEN")


async def with_a_forged_token(client, to):
    forged = f"{to.tokens['dispatcher']}x"
    call = client.ask(to.strict, Rides.List, r.ListRequest(), token=forged)
    await fails(call, StatusCode.UNAUTHENTICATED, reason="BAD_TOKEN")


async def with_a_token_of_another_role(client, to):
    call = client.ask(to.strict, Rides.List, r.ListRequest(), token=to.tokens["driver"])
    await fails(call, StatusCode.PERMISSION_DENIED, reason="NOT_FOR_YOUR_ROLE")


async def older_path(client, to):
    here = older_pb2.Location(lat=SQUARE.lat, lng=SQUARE.lng)
    wish = older_pb2.StartRequest(car_id=any_car(), driver_id="aino", type=older_pb2.POOL, location=here)
    ride_id = (await client.ask(to.open, Older.Start, wish)).id
    ride = (await client.ask(to.open, Rides.Get, r.GetRequest(ride_id=ride_id))).ride
    assert (ride.state, ride.type) == (r.RIDE_STATE_ON_TRIP, r.POOL)
    await client.ask(to.open, Rides.End, r.EndRequest(ride_id=ride_id, location=HARBOUR))

"""The services, places, cars and rides of the checks."""

import random
import uuid
from math import atan, degrees, pi, sinh

import older_pb2_grpc
from grpc_health.v1 import health_pb2_grpc
from rides.v1 import city_pb2_grpc, fleet_pb2, fleet_pb2_grpc, rides_pb2, rides_pb2_grpc, sessions_pb2_grpc
from rides.v1.location_pb2 import Bounds, Location

from .client import Service

Rides = Service(rides_pb2_grpc.RidesStub, "rides.v1.Rides")
Fleet = Service(fleet_pb2_grpc.FleetStub, "rides.v1.Fleet")
City = Service(city_pb2_grpc.CityStub, "rides.v1.City")
Sessions = Service(sessions_pb2_grpc.SessionsStub, "rides.v1.Sessions")
# The legacy rides.proto, which had no package.
Older = Service(older_pb2_grpc.RidesStub, "Rides")
Health = Service(health_pb2_grpc.HealthStub, "grpc.health.v1.Health")

# Two places on the built-in map of the server.
SQUARE = Location(lat=60.171, lng=24.941)
HARBOUR = Location(lat=60.167, lng=24.947)
# A point on Earth, far from any street.
AT_SEA = Location(lat=0, lng=0)
# An invalid location.
NOWHERE = Location(lat=float("nan"), lng=0)
VIEW = fleet_pb2.WatchFleetRequest(viewport=Bounds(south=60.165, west=24.935, north=60.175, east=24.95))


def unique(what):
    """Returns a unique name."""
    return f"{what}-{uuid.uuid4()}"


def any_car():
    """Returns the id of a car that no other check uses."""
    return 1_000 + random.randrange(10**9)


def somewhere():
    """Returns a random place in VIEW."""
    return Location(lat=random.uniform(60.168, 60.172), lng=random.uniform(24.938, 24.946))


def is_in(frame, place):
    """Returns True if a car of a map cell is at a place, to a ten-thousandth of a degree."""
    x, y = divmod(frame.cell, 32768)
    for dx, dy in zip(frame.dx, frame.dy, strict=True):
        east, south = x + 0.5 + dx / 16384, y + 0.5 + dy / 16384
        lat, lng = degrees(atan(sinh(pi * (1 - south / 16384)))), east / 32768 * 360 - 180
        if abs(lat - place.lat) < 1e-4 and abs(lng - place.lng) < 1e-4:
            return True
    return False


def booking(**more):
    return rides_pb2.BookRequest(
        **{"request_id": unique("request"), "rider_id": "ada", "pickup": SQUARE, "dropoff": HARBOUR, **more})



async def a_ride(client, server, **terms):
    """Books a ride, and returns its id and a function that cancels it."""
    booked = await client.ask(server, Rides.Book, booking(rider_id=""), **terms)
    ride_id = booked.ride.ride_id

    async def call_off():
        await client.ask(server, Rides.Cancel, rides_pb2.CancelRequest(ride_id=ride_id), **terms)
    return ride_id, call_off

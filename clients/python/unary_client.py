"""Checks the server's health, gets a quote, books a ride, and reads it. Unary calls."""

import uuid

from rides_channel import connect, flags  # First, since it sets a variable that grpcio reads on import.

from grpc_health.v1 import health_pb2, health_pb2_grpc

from rides.v1 import rides_pb2, rides_pb2_grpc
from rides.v1.location_pb2 import Location

args = flags(__doc__).parse_args()
trip = {"pickup": Location(lat=60.171, lng=24.941), "dropoff": Location(lat=60.167, lng=24.947)}

# Each call has a deadline of ten seconds.
with connect(args) as channel:
    health = health_pb2_grpc.HealthStub(channel)
    rides = rides_pb2_grpc.RidesStub(channel)

    answer = health.Check(health_pb2.HealthCheckRequest(service="rides.v1.Rides"), timeout=10)
    print("rides.v1.Rides is", health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))

    quote = rides.Quote(rides_pb2.QuoteRequest(**trip), timeout=10)
    print(f"{quote.pickup_name} to {quote.dropoff_name}: {quote.fare.minor_units / 100:.2f} {quote.fare.currency}")

    # A repeat with the same request_id returns the same ride, so a client may retry after a lost response.
    booked = rides.Book(rides_pb2.BookRequest(request_id=str(uuid.uuid4()), **trip), timeout=10)
    ride = rides.Get(rides_pb2.GetRequest(ride_id=booked.ride.ride_id), timeout=10).ride
    print(ride.ride_id, "is", rides_pb2.RideState.Name(ride.state))

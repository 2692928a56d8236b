"""Calls two servers in turn. When one of them stops, all calls go to the other.

Start `cargo xtask run`, and in another terminal:
  cargo run --release -p rides-server -- --data-dir :memory: --listen 127.0.0.1:8081
Then stop one of them."""

import time

from rides_channel import ROUND_ROBIN, connect, flags  # First, since it sets a variable that grpcio reads on import.

import grpc

from rides.v1 import rides_pb2, rides_pb2_grpc
from rides.v1.location_pb2 import Location

parser = flags(__doc__)
parser.set_defaults(server="ipv4:127.0.0.1:8080,127.0.0.1:8081")
args = parser.parse_args()
trip = rides_pb2.QuoteRequest(pickup=Location(lat=60.171, lng=24.941), dropoff=Location(lat=60.167, lng=24.947))

with connect(args, ROUND_ROBIN) as channel:
    rides = rides_pb2_grpc.RidesStub(channel)
    while True:
        try:
            quote = rides.Quote(trip, timeout=10)
            print(f"{quote.fare.minor_units / 100:.2f} {quote.fare.currency}")
        except grpc.RpcError as error:
            print(error.code().name, error.details())
        time.sleep(0.5)

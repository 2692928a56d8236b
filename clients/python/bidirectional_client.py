"""Drives one ride: signs on, reports positions, takes an offer, finishes the ride, signs off. Bidirectional streaming.

A rider must book: on the page, with unary_client.py, or one of the server's simulated riders. The server's simulated cars
are numbered from 1."""

import queue
import threading

from rides_channel import connect, flags  # First, since it sets a variable that grpcio reads on import.

from rides.v1 import fleet_pb2, fleet_pb2_grpc, rides_pb2
from rides.v1.fleet_pb2 import DriveRequest
from rides.v1.location_pb2 import Location

parser = flags(__doc__)
parser.add_argument("--car", type=int, default=2_000_001)
parser.add_argument("--driver", default="aino")
args = parser.parse_args()

HERE = Location(lat=60.171, lng=24.941)
# The message to send for each state of the ride.
NEXT = {
    rides_pb2.RIDE_STATE_ASSIGNED: lambda ride: DriveRequest(arrive=DriveRequest.Arrive(ride_id=ride)),
    rides_pb2.RIDE_STATE_ARRIVED: lambda ride: DriveRequest(pick_up=DriveRequest.PickUp(ride_id=ride)),
    rides_pb2.RIDE_STATE_ON_TRIP: lambda ride: DriveRequest(drop_off=DriveRequest.DropOff(ride_id=ride)),
    rides_pb2.RIDE_STATE_COMPLETED: lambda ride: DriveRequest(sign_off=DriveRequest.SignOff()),
}

say = queue.SimpleQueue()
say.put(DriveRequest(sign_on=DriveRequest.SignOn(car_id=args.car, driver_id=args.driver, location=HERE)))
home = threading.Event()


def report():
    """Reports the car's position once per second."""
    while not home.wait(1):
        say.put(DriveRequest(position=DriveRequest.Position(location=HERE)))


with connect(args) as channel:
    threading.Thread(target=report, daemon=True).start()
    for heard in fleet_pb2_grpc.FleetStub(channel).Drive(iter(say.get, None)):
        kind = heard.WhichOneof("message")
        if kind == "offer":
            print("offered", heard.offer.ride_id)
            say.put(DriveRequest(accept=DriveRequest.AcceptOffer(ride_id=heard.offer.ride_id)))
        elif kind in ("assignment", "update"):
            ride = getattr(heard, kind).ride
            print(rides_pb2.RideState.Name(ride.state))
            say.put(NEXT[ride.state](ride.ride_id))
        elif kind != "heartbeat":
            print(kind)
    home.set()
    say.put(None)

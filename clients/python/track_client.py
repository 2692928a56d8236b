"""Reports the position of a car a hundred times. Client streaming."""

from rides_channel import connect, flags  # First, since it sets a variable that grpcio reads on import.

from rides.v1 import rides_pb2, rides_pb2_grpc
from rides.v1.location_pb2 import Location

parser = flags(__doc__)
parser.add_argument("--car", type=int, default=2_000_001)
parser.add_argument("--positions", type=int, default=100)
args = parser.parse_args()


def positions():
    """Yields positions. grpcio takes the next one when flow control allows it."""
    for n in range(args.positions):
        yield rides_pb2.TrackRequest(car_id=args.car, location=Location(lat=60.171, lng=24.941 + n / 1e6))


with connect(args) as channel:
    answer = rides_pb2_grpc.RidesStub(channel).Track(positions(), timeout=60)
    print(f"the server took {answer.count} positions")

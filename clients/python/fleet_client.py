"""Counts the cars in the city centre, and shows no late frame. Server streaming.

A frame has the changes since the frame before it, so no frame may be skipped. When frames are late, the program opens a
new stream, which begins with all current cars. Try it with --pause 1."""

import time

from rides_channel import NEWEST_ONLY, connect, flags  # First, since it sets a variable that grpcio reads on import.

import grpc

from rides.v1 import fleet_pb2, fleet_pb2_grpc
from rides.v1.location_pb2 import Bounds

parser = flags(__doc__)
parser.add_argument("--pause", type=float, default=0, metavar="SECONDS", help="pause for this time after each frame")
parser.add_argument("--latest", type=float, default=2, metavar="SECONDS", help="show no frame that is later than this time")
parser.add_argument("--any-window", action="store_true", help="use grpcio's default flow-control window")
args = parser.parse_args()

CITY_CENTRE = fleet_pb2.WatchFleetRequest(viewport=Bounds(south=60.15, west=24.9, north=60.19, east=24.98))
# cars: the cell of each car, by its number, with the tick of that report. counts: the number of cars of each cell, for views
# with too many cars.
cars, counts = {}, {}


def apply(frame):
    """Applies a frame. Cars come first and departures second: a car is in its new cell before it leaves the old one."""
    if frame.detail:  # Set in the first frame of a stream, and when it changes. All earlier cars and counts are void.
        cars.clear()
        counts.clear()
    counts.update((density.cell, density.cars) for density in frame.densities)
    for cell in frame.cells:
        cars.update((number, (cell.cell, cell.tick)) for number in cell.cars)
    for cell in frame.cells:
        for number in list(cars) if cell.snapshot else cell.left:
            at, tick = cars.get(number, (None, 0))
            if at == cell.cell and tick < cell.tick:
                del cars[number]


def follow(frames):
    """Shows a stream until a frame is late. Returns True if a frame was late.

    The clocks of server and client differ, by the same time in every frame. So the earliest frame counts as on time."""
    promptest = None
    for frame in frames:
        way = time.monotonic() - frame.time.ToNanoseconds() / 1e9
        promptest = way if promptest is None else min(promptest, way)
        late = way - promptest
        if late > args.latest:
            frames.cancel()
            print(f"{late:.1f} s late: opening a new stream")
            return True
        apply(frame)
        print(f"tick {frame.tick}: {len(cars) + sum(counts.values())} cars, {late:.1f} s late")
        time.sleep(args.pause)
    return False


with connect(args, more=[] if args.any_window else NEWEST_ONLY) as channel:
    fleet = fleet_pb2_grpc.FleetStub(channel)
    while True:
        try:
            if not follow(fleet.Watch(CITY_CENTRE)):
                break
        except grpc.RpcError as error:
            if error.code() != grpc.StatusCode.UNAVAILABLE or not (cars or counts):
                raise
            print("the connection broke: retrying in 1 s")
            time.sleep(1)

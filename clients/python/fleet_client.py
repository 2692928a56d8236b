"""Counts the cars of the city centre as they move, and shows no frame that is late. One message there, a stream back.

A frame tells what has changed since the frame before it, so none may be left out. When frames are late, another stream
begins with all that is there now. Try it: --pause 1."""

import time

from rides_channel import NEWEST_ONLY, connect, flags  # First, for what it tells grpcio.

import grpc

from rides.v1 import fleet_pb2, fleet_pb2_grpc
from rides.v1.location_pb2 import Bounds

parser = flags(__doc__)
parser.add_argument("--pause", type=float, default=0, metavar="SECONDS", help="be slow: take so long over each frame")
parser.add_argument("--latest", type=float, default=2, metavar="SECONDS", help="show no frame that is later than this")
parser.add_argument("--any-window", action="store_true", help="let frames wait in as large a window as grpcio likes")
args = parser.parse_args()

CITY_CENTRE = fleet_pb2.WatchFleetRequest(viewport=Bounds(south=60.15, west=24.9, north=60.19, east=24.98))
# By number: the cell that a car is in, and the tick at which it was. Where there are too many, how many each cell has.
cars, counts = {}, {}


def apply(frame):
    """Takes in what a frame tells. Cars first, absences after: a car is in its new cell before it leaves the old one."""
    if frame.detail:  # In the first frame of a stream, and where it changes: nothing from before holds.
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
    """Shows a stream until a frame is late. Returns whether one was.

    The server's clock and ours differ, by as much in every frame: the promptest of a stream is taken to be on time."""
    promptest = None
    for frame in frames:
        way = time.monotonic() - frame.time.ToNanoseconds() / 1e9
        promptest = way if promptest is None else min(promptest, way)
        late = way - promptest
        if late > args.latest:
            frames.cancel()
            print(f"{late:.1f} s late: another stream begins with what is there now")
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
            print("the connection broke; once more in a second")
            time.sleep(1)

"""Follows a ride to its end, and goes on where it was when the connection breaks. One message there, a stream back.

It has no deadline, for a ride takes its time: that the server is there at all, keepalive finds out (rides_channel.py)."""

import time

from rides_channel import connect, flags  # First, for what it tells grpcio.

import grpc

from rides.v1 import rides_pb2, rides_pb2_grpc

parser = flags(__doc__)
parser.add_argument("--ride", required=True, metavar="ID", help="as unary_client.py prints it")
args = parser.parse_args()

with connect(args) as channel:
    rides = rides_pb2_grpc.RidesStub(channel)
    # Where the story was left: versions count within an epoch only.
    cursor = rides_pb2.WatchRequest(ride_id=args.ride)
    over = False
    while not over:
        try:
            for message in rides.Watch(cursor):
                kind = message.WhichOneof("message")
                if kind == "opened":
                    # Unless it resumed, the whole ride follows.
                    cursor.epoch = message.opened.epoch
                    cursor.after_version = cursor.after_version if message.opened.resumed else 0
                elif kind == "event":
                    cursor.after_version = message.event.version
                    print(f"{message.event.version}: {message.event.WhichOneof('event')}")
                elif kind == "progress":
                    print(f"   {message.progress.remaining_m} m to go")
            over = True  # OK: nothing more will happen to this ride.
        except grpc.RpcError as error:
            if error.code() != grpc.StatusCode.UNAVAILABLE or not cursor.epoch:
                raise
            print("the connection broke; once more in a second")
            time.sleep(1)

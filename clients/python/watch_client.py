"""Follows a ride to its end, and resumes the stream when the connection breaks. Server streaming.

The call has no deadline, since a ride may take long. Keepalive notices a dead connection (rides_channel.py)."""

import time

from rides_channel import connect, flags  # First, since it sets a variable that grpcio reads on import.

import grpc

from rides.v1 import rides_pb2, rides_pb2_grpc

parser = flags(__doc__)
parser.add_argument("--ride", required=True, metavar="ID", help="id of the ride, as unary_client.py prints it")
args = parser.parse_args()

with connect(args) as channel:
    rides = rides_pb2_grpc.RidesStub(channel)
    # The position in the stream. A version is only valid with its epoch.
    cursor = rides_pb2.WatchRequest(ride_id=args.ride)
    over = False
    while not over:
        try:
            for message in rides.Watch(cursor):
                kind = message.WhichOneof("message")
                if kind == "opened":
                    # If the stream did not resume, all events follow from version 1.
                    cursor.epoch = message.opened.epoch
                    cursor.after_version = cursor.after_version if message.opened.resumed else 0
                elif kind == "event":
                    cursor.after_version = message.event.version
                    print(f"{message.event.version}: {message.event.WhichOneof('event')}")
                elif kind == "progress":
                    print(f"   {message.progress.remaining_m} m to go")
            over = True  # The stream ended with OK: the ride is over.
        except grpc.RpcError as error:
            if error.code() != grpc.StatusCode.UNAVAILABLE or not cursor.epoch:
                raise
            print("the connection broke: retrying in 1 s")
            time.sleep(1)

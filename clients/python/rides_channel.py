"""What the programs beside this file share: flags, a channel, and what every call is made with."""

import argparse
import json

import grpc

# Calls are tried again while a server is away. Only what is safe to repeat: reads, Book by its request_id, Cancel.
RETRY = {
    "methodConfig": [{
        "name": [{"service": "rides.v1.Rides", "method": method}
                 for method in ("Quote", "Book", "Get", "List", "Cancel", "Watch")],
        "retryPolicy": {
            "maxAttempts": 5,
            "initialBackoff": "0.2s",
            "maxBackoff": "2s",
            "backoffMultiplier": 2,
            "retryableStatusCodes": ["UNAVAILABLE"],
        },
    }],
}
# A service config that tries again, and one that does so over all addresses of a name in turn.
RETRIES = json.dumps({**RETRY, "loadBalancingConfig": [{"pick_first": {}}]})
ROUND_ROBIN = json.dumps({**RETRY, "loadBalancingConfig": [{"round_robin": {}}]})
# A list of addresses is no host name, and grpcio would send it as one.
ONE_NAME = ("grpc.default_authority", "localhost")


def flags(program):
    """A parser with --server, --ca and --token-file, for a program that may add its own."""
    parser = argparse.ArgumentParser(description=program)
    parser.add_argument("--server", default="localhost:8080", metavar="HOST:PORT")
    parser.add_argument("--ca", metavar="FILE", help="speak TLS, and trust this CA (rides-server gen-key makes one)")
    parser.add_argument("--token-file", metavar="FILE", help="show this token (rides-server token prints one)")
    return parser


def connect(args, config=RETRIES):
    """A channel to --server. It connects with the first call, and again whenever it must."""
    options = [("grpc.service_config", config)] + ([ONE_NAME] if "," in args.server else [])
    if not args.ca:
        return grpc.insecure_channel(args.server, options)
    with open(args.ca, "rb") as ca:
        return grpc.secure_channel(args.server, grpc.ssl_channel_credentials(ca.read()), options)


def metadata(args):
    """What every call shows: the token, if there is one."""
    if not args.token_file:
        return []
    with open(args.token_file) as token:
        return [("authorization", f"Bearer {token.read().strip()}")]

"""The common part of the programs in this folder: flags, and a channel with TLS, a token, retries and keepalive."""

import argparse
import contextlib
import json
import os
import re
import sys

# The programs print errors themselves, so grpcio must not log them too. grpcio reads this variable on import.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

import grpc

# The retry policy for a server that is unavailable. Only for calls that are safe to repeat: reads, Book with its
# request_id, Cancel.
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
# A service config with retries, and one that also balances calls over all addresses of a name (round robin).
RETRIES = json.dumps({**RETRY, "loadBalancingConfig": [{"pick_first": {}}]})
ROUND_ROBIN = json.dumps({**RETRY, "loadBalancingConfig": [{"round_robin": {}}]})
# The host name to send. grpcio would send a list of addresses as the host name.
ONE_NAME = ("grpc.default_authority", "localhost")
# A server on this machine is called directly, even if the environment names a proxy (http_proxy, grpc_proxy).
NO_PROXY = ("grpc.enable_http_proxy", 0)
THIS_MACHINE = r"(localhost|127(\.\d+){3}|\[::1\])(:\d+)?"
# A connection that is silent for 20 s gets a ping, and is closed 10 s later if there is no response. A stream may be silent
# for minutes, and must notice that its server is gone.
KEEPALIVE = [("grpc.keepalive_time_ms", 20_000), ("grpc.keepalive_timeout_ms", 10_000),
             ("grpc.http2.max_pings_without_data", 0)]
# For Fleet.Watch: the server sends a slow viewer fewer, newer frames. But it sends ahead the frames that fit into the
# stream's flow-control window, where they get old. 5 bytes are the header of one message: grpcio requests the rest when the
# message is read. By default it enlarges the window by its measurements (bdp_probe).
NEWEST_ONLY = [("grpc.http2.lookahead_bytes", 5), ("grpc.http2.bdp_probe", 0)]


def flags(program):
    """Returns a parser with --server, --ca and --token-file, to which a program may add flags."""
    parser = argparse.ArgumentParser(description=program)
    parser.add_argument("--server", default="localhost:8080", metavar="HOST:PORT")
    parser.add_argument("--ca", metavar="FILE", help="use TLS, and trust this CA (rides-server gen-key makes one)")
    parser.add_argument("--token-file", metavar="FILE", help="send the token in this file (rides-server token prints one)")
    return parser


@contextlib.contextmanager
def connect(args, config=RETRIES, more=()):
    """Returns a channel to --server, for a `with`. An uncaught error inside ends the program with one line."""
    try:
        with channel_to(args, config, more) as channel:
            yield channel
    except grpc.RpcError as error:
        sys.exit(f"{error.code().name}: {error.details()}")
    except BrokenPipeError:  # The reader of the output has ended. Python would report the error again at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:  # A file cannot be read.
        sys.exit(f"{error.filename}: {error.strerror}")
    except KeyboardInterrupt:
        sys.exit(130)


def channel_to(args, config, more):
    """Returns a channel, which connects at the first call and reconnects when necessary."""
    options = [("grpc.service_config", config), *KEEPALIVE, *more]
    options += [ONE_NAME] if "," in args.server else []
    options += [NO_PROXY] if is_here(args.server) else []
    if args.ca:
        with open(args.ca, "rb") as ca:
            channel = grpc.secure_channel(args.server, grpc.ssl_channel_credentials(ca.read()), options)
    else:
        channel = grpc.insecure_channel(args.server, options)
    if not args.token_file:
        return channel
    return grpc.intercept_channel(channel, ShowToken(token_in(args.token_file)))


def is_here(server):
    """Returns True if every address in HOST:PORT, or in ipv4:HOST:PORT,HOST:PORT, is of this machine."""
    addresses = re.sub(r"^(dns|ipv4|ipv6):/{0,3}", "", server).split(",")
    return all(re.fullmatch(THIS_MACHINE, address, re.IGNORECASE) for address in addresses)


def token_in(file):
    with open(file, errors="replace") as text:
        token = text.read().strip()
    if not re.fullmatch("[!-~]+", token):
        sys.exit(f"{file} holds no token")
    return token


class ShowToken(grpc.UnaryUnaryClientInterceptor, grpc.UnaryStreamClientInterceptor,
                grpc.StreamUnaryClientInterceptor, grpc.StreamStreamClientInterceptor):
    """Sends a token with every call, of all four kinds."""

    def __init__(self, token):
        self.shown = ("authorization", f"Bearer {token}")

    def intercept(self, proceed, terms, request):
        return proceed(terms._replace(metadata=[*(terms.metadata or ()), self.shown]), request)

    intercept_unary_unary = intercept_unary_stream = intercept_stream_unary = intercept_stream_stream = intercept

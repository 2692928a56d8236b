"""What the programs beside this file share: flags, and a channel with what every call is made with."""

import argparse
import contextlib
import json
import os
import re
import sys

# What goes wrong a program says itself, once: not grpcio, too. It reads this as it is imported, which is after this file.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

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
# A server on this machine is called directly, though the environment may name a proxy (http_proxy, grpc_proxy).
NO_PROXY = ("grpc.enable_http_proxy", 0)
THIS_MACHINE = r"(localhost|127(\.\d+){3}|\[::1\])(:\d+)?"
# A connection is asked for a sign of life when it has been quiet for 20 s, and given up 10 s later: a stream may have
# nothing to say for minutes, and is not to wait for a server that is gone.
KEEPALIVE = [("grpc.keepalive_time_ms", 20_000), ("grpc.keepalive_timeout_ms", 10_000),
             ("grpc.http2.max_pings_without_data", 0)]
# For Fleet.Watch: the server sends a slow viewer fewer, newer frames, but those that fit into the window of a stream are sent
# ahead, and get old there. 5 bytes are the head of one message; grpcio asks for the rest when it is read. Left alone it
# makes the window larger by what it measures (bdp_probe).
NEWEST_ONLY = [("grpc.http2.lookahead_bytes", 5), ("grpc.http2.bdp_probe", 0)]


def flags(program):
    """A parser with --server, --ca and --token-file, for a program that may add its own."""
    parser = argparse.ArgumentParser(description=program)
    parser.add_argument("--server", default="localhost:8080", metavar="HOST:PORT")
    parser.add_argument("--ca", metavar="FILE", help="speak TLS, and trust this CA (rides-server gen-key makes one)")
    parser.add_argument("--token-file", metavar="FILE", help="show this token (rides-server token prints one)")
    return parser


@contextlib.contextmanager
def connect(args, config=RETRIES, more=()):
    """A channel to --server, for a `with`. What goes wrong inside ends the program in one line, unless it is caught."""
    try:
        with channel_to(args, config, more) as channel:
            yield channel
    except grpc.RpcError as error:
        sys.exit(f"{error.code().name}: {error.details()}")
    except BrokenPipeError:  # Whoever reads what is printed has had enough. Python would complain once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:  # There is no such file.
        sys.exit(f"{error.filename}: {error.strerror}")
    except KeyboardInterrupt:
        sys.exit(130)


def channel_to(args, config, more):
    """It connects with the first call, and again whenever it must."""
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
    """Whether every address in HOST:PORT, or in ipv4:HOST:PORT,HOST:PORT, is of this machine."""
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
    """Shows a token with every call, of whatever kind."""

    def __init__(self, token):
        self.shown = ("authorization", f"Bearer {token}")

    def intercept(self, proceed, terms, request):
        return proceed(terms._replace(metadata=[*(terms.metadata or ()), self.shown]), request)

    intercept_unary_unary = intercept_unary_stream = intercept_stream_unary = intercept_stream_stream = intercept

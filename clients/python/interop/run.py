"""The runner of the checks of grpcio, blocking and asynchronous: `python -m interop.run SERVERS.json [CLIENT…]`."""

import asyncio
import json
import pathlib
import sys
import time
import traceback
import types

from . import bidirectional, client_streaming, failing, server_streaming, unary
from .client import Asynchronous, Blocking

LIST = pathlib.Path(__file__).parents[2] / "interop.json"
KINDS = {
    "unary": unary,
    "server streaming": server_streaming,
    "client streaming": client_streaming,
    "bidirectional": bidirectional,
    "servers that fail": failing,
}
# The time limit of a check in seconds. A million positions, one message each, take a busy machine more than a minute.
PATIENCE = 180


def code_of(kind, check):
    """Returns the function of a check, for example a_drivers_day for "a driver's day"."""
    name = check.lower().replace("'", "").replace(",", "").replace(" ", "_")
    return getattr(KINDS[kind], name)


async def outcome(client, kind, check, to):
    begun = time.monotonic()
    try:
        await asyncio.wait_for(code_of(kind, check)(client, to), PATIENCE)
    except Exception:
        return {"result": "fail", "text": traceback.format_exc()}
    return {"result": "pass", "ms": round(1000 * (time.monotonic() - begun))}


async def main(path, *chosen):
    checks = json.loads(LIST.read_text())["checks"]
    to = types.SimpleNamespace(**json.loads(pathlib.Path(path).read_text()))
    for client in (Blocking(), Asynchronous()):
        if chosen and client.id not in chosen:
            continue
        for kind, check in [(row["kind"], row["check"]) for row in checks if client.id in row.get("only", [client.id])]:
            result = await outcome(client, kind, check, to)
            print(json.dumps({"client": client.id, "kind": kind, "check": check, **result}), flush=True)


asyncio.run(main(*sys.argv[1:]))

// The checks of client streaming.

import { Rides as Older } from "../../gen/older_pb.js";
import { Rides } from "../../gen/rides/v1/rides_pb.js";
import { Code } from "../client.mjs";
import { cancels, endsInTime, equal, fails, ok, received } from "../expect.mjs";
import { NOWHERE, SQUARE, anyCar } from "./places.mjs";

const { track } = Rides.method;

function* positions(count, carId = anyCar()) {
  for (let n = 0; n < count; n++) yield { carId, location: SQUARE };
}

/** Returns the beginning of an upload that never ends. */
async function* endless() {
  yield* positions(1);
  await new Promise(() => {});
}

export const clientStreaming = {
  "positions": async (client, { open }) => counted(client, open, 100),

  "twenty thousand at once": async (client, { open }) => counted(client, open, 20_000),

  "a bad position": async (client, { open }) => {
    const sent = [...positions(3), { carId: 1n, location: NOWHERE }];
    const failure = await fails(client.ask(open, track, sent), Code.INVALID_ARGUMENT, "NOT_ON_EARTH");
    equal(failure.badRequest.fieldViolations[0].field, "positions[3].location", "the field");
  },

  "faster than allowed": async (client, { strict, tokens }) => {
    const begun = Date.now();
    const { count } = await client.ask(strict, track, positions(200), { token: tokens.dispatcher });
    equal(count, 200n, "the count");
    ok(Date.now() - begun > 500, "the upload is throttled");
  },

  "deadline": async (client, { open }) => {
    await endsInTime((terms) => client.ask(open, track, endless(), terms), open, track);
  },

  "cancel": async (client, { open }) => {
    const upload = client.open(open, track, endless());
    upload.next().catch(() => {}); // Cancelled below.
    await cancels(upload, open, track, !client.lacks["to call off an upload"]);
  },

  "a million positions": async (client, { open }) => counted(client, open, 1_000_000),

  "over TLS": async (client, { tls }) => {
    equal((await client.ask(tls, track, positions(100))).count, 100n, "the count");
  },

  "with a token": async (client, { strict, tokens, car }) => {
    const token = tokens.driver;
    const { count } = await client.ask(strict, track, positions(10, BigInt(car)), { token });
    equal(count, 10n, "the count");
    await fails(client.ask(strict, track, positions(1, BigInt(car) + 1n), { token }), Code.PERMISSION_DENIED, "NOT_YOUR_CAR");
  },

  "older path": async (client, { open }) => {
    equal((await client.ask(open, Older.method.track, positions(3))).count, 3n, "the count");
  },
};

/** Checks that the server applied every position, by its response and by its metrics. */
async function counted(client, server, many) {
  const before = await received(server, track);
  equal((await client.ask(server, track, positions(many))).count, BigInt(many), "the count");
  equal((await received(server, track)) - before, many, "messages in /metrics");
}

// The checks of server streaming.

import { City } from "../../gen/rides/v1/city_pb.js";
import { Fleet } from "../../gen/rides/v1/fleet_pb.js";
import { Rides } from "../../gen/rides/v1/rides_pb.js";
import { Sessions } from "../../gen/rides/v1/sessions_pb.js";
import { Health, HealthCheckResponse_ServingStatus as Serving } from "../../gen/health/v1/health_pb.js";
import { Code } from "../client.mjs";
import { all, cancels, endsInTime, equal, fails, ok, untilInProgress } from "../expect.mjs";
import { HARBOUR, VIEW, anyCar, booking, isIn, somewhere, unique } from "./places.mjs";

const { book, cancel, start, end, watch } = Rides.method;

/** Books a ride, and returns its id and a function that cancels it. */
async function aRide(client, server, options) {
  const { rideId } = (await client.ask(server, book, booking({ riderId: "" }), options)).ride;
  return { rideId, cancel: () => client.ask(server, cancel, { rideId }, options) };
}

const eventsOf = (messages) => messages.map(({ message }) => message).filter(({ case: kind }) => kind === "event");
const story = (messages) => eventsOf(messages).map(({ value }) => `${value.version} ${value.event.case}`).join(", ");

export const serverStreaming = {
  "a ride to its end": async (client, { open }) => {
    const ride = await aRide(client, open);
    await ride.cancel();
    const messages = await all(client.open(open, watch, { rideId: ride.rideId }));
    equal(messages[0].message.case, "opened", "the first message");
    equal(story(messages), "1 requested, 2 cancelled", "the events");
  },

  "live events": async (client, { open }) => {
    const ride = await aRide(client, open);
    const messages = client.open(open, watch, { rideId: ride.rideId });
    const first = [await messages.next(), await messages.next()];
    equal(story(first), "1 requested", "the events before");
    await ride.cancel();
    equal(story(await all(messages)), "2 cancelled", "the events after");
  },

  "resume": async (client, { open }) => {
    const { rideId, cancel } = await aRide(client, open);
    await cancel();
    const [{ message: opened }] = await all(client.open(open, watch, { rideId }));
    const from = async (epoch) => all(client.open(open, watch, { rideId, epoch, afterVersion: 1n }));
    const resumed = await from(opened.value.epoch);
    ok(resumed[0].message.value.resumed, "the stream resumed");
    equal(story(resumed), "2 cancelled", "the events after the cursor");
    const anew = await from(crypto.randomUUID());
    ok(!anew[0].message.value.resumed, "a cursor of another epoch does not resume");
    equal(story(anew), "1 requested, 2 cancelled", "all events");
  },

  "cars in view": async (client, { open }) => {
    const here = somewhere();
    const { id } = await client.ask(open, start, { carId: anyCar(), driverId: "aino", location: here });
    const frames = client.open(open, Fleet.method.watch, VIEW);
    while (!(await frames.next()).cells.some((cell) => isIn(cell, here)));
    frames.cancel();
    await client.ask(open, end, { rideId: id, location: HARBOUR });
  },

  "the whole map": async (client, { open }) => wholeMap(client, open),

  "health, watched": async (client, { open }) => {
    const health = client.open(open, Health.method.watch, { service: "rides.v1.Rides" });
    equal((await health.next()).status, Serving.SERVING, "the first status");
    health.cancel();
    await untilInProgress(open, Health.method.watch, 0);
  },

  "an error before any message": async (client, { open }) => {
    await fails(all(client.open(open, watch, { rideId: "nonsense" })), Code.NOT_FOUND, "NO_SUCH_RIDE");
  },

  "deadline": async (client, { open }) => {
    const { rideId, cancel } = await aRide(client, open);
    await endsInTime((terms) => all(client.open(open, watch, { rideId }, terms)), open, watch);
    await cancel();
  },

  "cancel": async (client, { open }) => {
    const { rideId, cancel } = await aRide(client, open);
    const messages = client.open(open, watch, { rideId });
    messages.next().catch(() => {}); // It may also be cancelled.
    await cancels(messages, open, watch);
    await cancel();
  },

  "when to come again": async (client, { strict, tokens }) => {
    const token = tokens.dispatcher;
    const only = client.open(strict, Fleet.method.watch, VIEW, { token });
    only.next().catch(() => {}); // Cancelled below.
    await untilInProgress(strict, Fleet.method.watch, 1);
    const second = all(client.open(strict, Fleet.method.watch, VIEW, { token }));
    const failure = await fails(second, Code.RESOURCE_EXHAUSTED, "TOO_MANY_VIEWERS");
    equal(failure.retryInfo.retryDelay.seconds, 5n, "RetryInfo");
    only.cancel();
    await untilInProgress(strict, Fleet.method.watch, 0);
  },

  "over TLS": async (client, { tls }) => wholeMap(client, tls),

  "with a token": async (client, { strict }) => {
    const { token } = await client.ask(strict, Sessions.method.signIn, { name: unique("Ada") });
    const ride = await aRide(client, strict, { token });
    await ride.cancel();
    equal(story(await all(client.open(strict, watch, { rideId: ride.rideId }, { token }))), "1 requested, 2 cancelled", "the events");
    await fails(all(client.open(strict, watch, { rideId: ride.rideId })), Code.UNAUTHENTICATED, "NO_TOKEN");
  },
};

async function wholeMap(client, server) {
  const [{ info }, ...parts] = await all(client.open(server, City.method.getMap, {}));
  equal(info.name, "Helsinki", "the city");
  for (const what of ["streets", "areas", "rails"]) {
    equal(parts.reduce((sum, part) => sum + part[what].length, 0), info[what], what);
  }
  ok(parts.length > 1, "the map has several messages");
}

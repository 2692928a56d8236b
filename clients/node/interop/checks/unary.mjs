// The checks of unary calls.

import { Rides as Older } from "../../gen/older_pb.js";
import { City } from "../../gen/rides/v1/city_pb.js";
import { Rides, RideState, RideType } from "../../gen/rides/v1/rides_pb.js";
import { Role, Sessions } from "../../gen/rides/v1/sessions_pb.js";
import { Health, HealthCheckResponse_ServingStatus as Serving } from "../../gen/health/v1/health_pb.js";
import { Code } from "../client.mjs";
import { cancels, endsInTime, equal, fails, ok, saidByServer } from "../expect.mjs";
import { AT_SEA, HARBOUR, NOWHERE, SQUARE, anyCar, booking, unique } from "./places.mjs";

const { quote, book, get, cancel, list, start, end } = Rides.method;
const { signIn, signOut, revoke, renew, whoAmI } = Sessions.method;

const TRIP = { pickup: SQUARE, dropoff: HARBOUR, type: RideType.POOL };
/** Returns `count` states for a List request. Each is one byte on the wire. */
const states = (count) => ({ states: Array(count).fill(RideState.EXPIRED) });

/** Returns the token of a new guest. */
const guest = async (client, server) => (await client.ask(server, signIn, { name: "Ada" })).token;

export const unary = {
  "quote": async (client, { open }) => {
    const { fare, tripDistanceM, route } = await client.ask(open, quote, TRIP);
    equal(fare.currency, "EUR", "the currency");
    ok(fare.minorUnits > 0n && tripDistanceM > 100 && route.microdegrees.length >= 4, "the quote has a fare and a route");
  },

  "book, get, cancel": async (client, { open }) => {
    const { ride } = await client.ask(open, book, booking());
    equal((await client.ask(open, get, { rideId: ride.rideId })).ride.version, ride.version, "the version");
    const cancelled = (await client.ask(open, cancel, { rideId: ride.rideId, reason: "a tram came" })).ride;
    equal(cancelled.state, RideState.CANCELLED, "the state");
    equal(cancelled.cancelReason, "a tram came", "the reason");
  },

  "book twice": async (client, { open }) => {
    const wish = booking();
    const { ride } = await client.ask(open, book, wish);
    equal((await client.ask(open, book, wish)).ride.rideId, ride.rideId, "the ride of the same request");
    await fails(client.ask(open, book, { ...wish, type: RideType.POOL }), Code.INVALID_ARGUMENT, "KEY_REUSED");
    await client.ask(open, cancel, { rideId: ride.rideId });
  },

  "list in pages": async (client, { open }) => {
    const riderId = unique("rider");
    const booked = [];
    for (let n = 0; n < 3; n++) {
      const { rideId } = (await client.ask(open, book, booking({ riderId }))).ride;
      await client.ask(open, cancel, { rideId });
      booked.unshift(rideId);
    }
    const pages = [];
    let pageToken = "";
    do {
      const page = await client.ask(open, list, { riderId, pageSize: 2, pageToken });
      pages.push(page.rides.map(({ rideId }) => rideId));
      pageToken = page.nextPageToken;
    } while (pageToken);
    equal(JSON.stringify(pages), JSON.stringify([booked.slice(0, 2), booked.slice(2)]), "the pages");
  },

  "start and end": async (client, { open }) => {
    const { id } = await client.ask(open, start, { carId: anyCar(), driverId: "aino", location: SQUARE });
    const { ride } = await client.ask(open, end, { rideId: id, location: HARBOUR });
    equal(ride.state, RideState.COMPLETED, "the state");
  },

  "find places": async (client, { open }) => {
    const { places } = await client.ask(open, City.method.findPlaces, { query: "mannerheimintie" });
    equal(places[0]?.name, "Mannerheimintie", "the first place");
  },

  "sign in": async (client, { strict }) => {
    const { token, session } = await client.ask(strict, signIn, { name: "Ada" });
    equal(session.role, Role.RIDER, "the role");
    const renewed = await client.ask(strict, renew, {}, { token });
    for (const shown of [token, renewed.token]) {
      const { subject } = (await client.ask(strict, whoAmI, {}, { token: shown })).session;
      equal(subject, session.subject, "the subject");
    }
  },

  "sign out, revoke": async (client, { strict, tokens }) => {
    const ada = await client.ask(strict, signIn, { name: "Ada" });
    const bob = await client.ask(strict, signIn, { name: "Bob" });
    await client.ask(strict, signOut, {}, { token: ada.token });
    const whose = { case: "sessionId", value: bob.session.sessionId };
    await client.ask(strict, revoke, { whose }, { token: tokens.dispatcher });
    for (const { token } of [ada, bob]) {
      await fails(client.ask(strict, whoAmI, {}, { token }), Code.UNAUTHENTICATED, "SESSION_OVER");
    }
  },

  "health": async (client, { open }) => {
    const check = (service) => client.ask(open, Health.method.check, { service });
    for (const service of ["", "rides.v1.Rides"]) equal((await check(service)).status, Serving.SERVING, `"${service}"`);
    await fails(check("rides.v1.Nobody"), Code.NOT_FOUND);
  },

  "unicode": async (client, { open }) => {
    const names = { riderId: "Äiti 東京 🚕", passengerIds: ["ﷺ", "e\u0301", "\u{1F469}\u200D\u{1F680}"] };
    const { rideId } = (await client.ask(open, book, booking(names))).ride;
    await client.ask(open, cancel, { rideId, reason: "строка ☂" });
    const { ride } = await client.ask(open, get, { rideId });
    equal([ride.riderId, ...ride.passengerIds, ride.cancelReason].join(), [names.riderId, ...names.passengerIds, "строка ☂"].join(), "the names");
  },

  "largest request": async (client, { open }) => {
    await client.ask(open, list, { ...states(65_000), riderId: unique("nobody") });
  },

  "too large a request": async (client, { open, tls }) => {
    // Over HTTP/1.1 the server closes the connection before it has read the request. A browser may see only the close.
    const server = client.inBrowser ? tls : open;
    await fails(client.ask(server, list, states(70_000)), Code.RESOURCE_EXHAUSTED, "MESSAGE_TOO_LARGE");
  },

  "bad field": async (client, { open }) => {
    const fieldOf = (failure) => failure.badRequest.fieldViolations[0].field;
    const nowhere = await fails(client.ask(open, quote, { ...TRIP, dropoff: NOWHERE }), Code.INVALID_ARGUMENT, "NOT_ON_EARTH");
    equal(fieldOf(nowhere), "dropoff", "the field");
    const atSea = await fails(client.ask(open, quote, { ...TRIP, pickup: AT_SEA }), Code.INVALID_ARGUMENT, "OFF_MAP");
    equal(fieldOf(atSea), "pickup", "the field");
  },

  "no such ride": async (client, { open }) => {
    const failure = await fails(client.ask(open, get, { rideId: "nonsense" }), Code.NOT_FOUND, "NO_SUCH_RIDE");
    ok(failure.message.length > 0, "the error has a message");
  },

  "unknown method": async (client, { open }) => {
    const nobody = { ...quote, name: "Nonsense", localName: "nonsense" };
    saidByServer(await fails(client.ask(open, nobody, TRIP), Code.UNIMPLEMENTED), "this server has no such method");
  },

  "binary metadata": async (client, { open }) => {
    if (!client.lacks["binary request metadata"]) {
      await client.ask(open, quote, TRIP, { binary: Uint8Array.from({ length: 256 }, (_, byte) => byte) });
    }
    const failure = await fails(client.ask(open, get, { rideId: "nonsense" }), Code.NOT_FOUND);
    equal(failure.status.code, Code.NOT_FOUND, "the code in grpc-status-details-bin");
    equal(failure.status.message, failure.message, "the message in grpc-status-details-bin");
  },

  "deadline": async (client, { busy }) => {
    const tokens = [await guest(client, busy), await guest(client, busy)];
    await endsInTime((terms) => client.ask(busy, signOut, {}, { token: tokens.pop(), ...terms }), busy, signOut);
  },

  "cancel": async (client, { busy }) => {
    const call = client.open(busy, signOut, {}, { token: await guest(client, busy) });
    const answer = call.next();
    answer.catch(() => {}); // Cancelled below.
    await cancels(call, busy, signOut);
    if (!client.lacks["word of a call cancelled"]) await fails(answer, Code.CANCELLED);
  },

  "over TLS": async (client, { tls }) => {
    ok((await client.ask(tls, quote, TRIP)).fare.minorUnits > 0n, "the quote has a fare");
  },

  "over TLS, of a CA unknown": async (client, { distrusted }) => {
    // Connect's libraries have no code for this error, and browsers do not describe it.
    const code = client.inBrowser ? Code.UNKNOWN : client.id.startsWith("connect") ? Code.INTERNAL : Code.UNAVAILABLE;
    await fails(client.ask(distrusted, quote, TRIP, { deadlineMs: 10_000 }), code);
  },

  "with a token": async (client, { strict }) => {
    const [ada, bob] = [await guest(client, strict), await guest(client, strict)];
    const { rideId } = (await client.ask(strict, book, booking({ riderId: "" }), { token: ada })).ride;
    await client.ask(strict, get, { rideId }, { token: ada });
    await fails(client.ask(strict, get, { rideId }, { token: bob }), Code.NOT_FOUND, "NO_SUCH_RIDE");
    await client.ask(strict, cancel, { rideId }, { token: ada });
  },

  "without a token": async (client, { strict }) => {
    await fails(client.ask(strict, list, {}), Code.UNAUTHENTICATED, "NO_TOKEN");
  },

  "with a forged token": async (client, { strict, tokens }) => {
    await fails(client.ask(strict, list, {}, { token: `${tokens.dispatcher}x` }), Code.UNAUTHENTICATED, "BAD_TOKEN");
  },

  "with a token of another role": async (client, { strict, tokens }) => {
    await fails(client.ask(strict, list, {}, { token: tokens.driver }), Code.PERMISSION_DENIED, "NOT_FOR_YOUR_ROLE");
  },

  "older path": async (client, { open }) => {
    const wish = { carId: anyCar(), driverId: "aino", type: RideType.POOL, location: SQUARE };
    const { id } = await client.ask(open, Older.method.start, wish);
    const { ride } = await client.ask(open, get, { rideId: id });
    equal(ride.state, RideState.ON_TRIP, "the state");
    equal(ride.type, RideType.POOL, "the type");
    await client.ask(open, end, { rideId: id, location: HARBOUR });
  },
};

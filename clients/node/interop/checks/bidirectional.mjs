// The checks of bidirectional streaming.

import { createFileRegistry, create, fromBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema, FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { Fleet } from "../../gen/rides/v1/fleet_pb.js";
import { Rides, RideState } from "../../gen/rides/v1/rides_pb.js";
import { ServerReflection } from "../../gen/grpc/reflection/v1/reflection_pb.js";
import { ServerReflection as OlderReflection } from "../../gen/grpc/reflection/v1alpha/reflection_pb.js";
import { Code, Pushed } from "../client.mjs";
import { all, cancels, endsInTime, equal, fails, ok, until } from "../expect.mjs";
import { HARBOUR, SQUARE, anyCar, booking } from "./places.mjs";

const { drive } = Fleet.method;
const { book, get, quote } = Rides.method;

const say = (kind, value = {}) => ({ message: { case: kind, value } });
const signOn = (carId) => say("signOn", { carId, driverId: "aino", location: SQUARE });

/** The client of a Fleet.Drive stream. */
class Driver {
  constructor(client, server, options) {
    this.up = new Pushed();
    this.down = client.open(server, drive, this.up, options);
  }

  static async signsOn(client, server, options, carId = anyCar()) {
    const driver = new Driver(client, server, options);
    driver.up.push(signOn(carId));
    await driver.hears("signedOn");
    return driver;
  }

  says(kind, value) { this.up.push(say(kind, value)); }

  /** Returns the next message of a kind, and skips all others. */
  async hears(kind) {
    for (;;) {
      const { message } = await this.down.next();
      if (message.case === kind) return message.value;
    }
  }

  async signsOff() {
    this.says("signOff");
    this.up.end();
    await all(this.down);
  }
}

export const bidirectional = {
  "a driver's day": async (client, { open }) => {
    const driver = await Driver.signsOn(client, open);
    driver.says("position", { location: SQUARE, headingDeg: 90 });
    driver.says("arrive", { rideId: "nonsense" });
    equal((await driver.hears("refused")).reason, "NO_SUCH_RIDE", "the reason of the refusal");

    const { rideId } = (await client.ask(open, book, booking())).ride;
    while ((await driver.hears("offer")).rideId !== rideId);
    driver.says("accept", { rideId });
    equal((await driver.hears("assignment")).ride.state, RideState.ASSIGNED, "after accept");
    const steps = { arrive: RideState.ARRIVED, pickUp: RideState.ON_TRIP, dropOff: RideState.COMPLETED };
    for (const [step, state] of Object.entries(steps)) {
      driver.says(step, { rideId });
      equal((await driver.hears("update")).ride.state, state, `after ${step}`);
    }
    await driver.signsOff();
    equal((await client.ask(open, get, { rideId })).ride.state, RideState.COMPLETED, "in the end");
  },

  "not signed on": async (client, { open }) => {
    const driver = new Driver(client, open);
    driver.says("position", { location: SQUARE });
    driver.up.end();
    await fails(all(driver.down), Code.FAILED_PRECONDITION, "NOT_SIGNED_ON");
  },

  "signed on elsewhere": async (client, { open }) => {
    const car = anyCar();
    const first = await Driver.signsOn(client, open, {}, car);
    const second = await Driver.signsOn(client, open, {}, car);
    await fails(all(first.down), Code.ABORTED, "SIGNED_ON_ELSEWHERE");
    await second.signsOff();
  },

  "deadline": async (client, { open }) => {
    await endsInTime((terms) => {
      const driver = new Driver(client, open, terms);
      driver.up.push(signOn(anyCar()));
      return all(driver.down);
    }, open, drive);
  },

  "cancel": async (client, { open }) => {
    const driver = await Driver.signsOn(client, open);
    driver.down.next().catch(() => {}); // Cancelled below.
    await cancels(driver.down, open, drive, !client.lacks["to call off streams both ways"]);
  },

  "as fast as it can": async (client, { open }) => {
    const driver = await Driver.signsOn(client, open);
    for (let n = 0; n < 20_000; n++) driver.says("position", { location: SQUARE });
    const { ride } = await client.ask(open, book, booking());
    await client.ask(open, Rides.method.cancel, { rideId: ride.rideId });
    await driver.signsOff();
  },

  "stops reading": async (client, { open }) => {
    const driver = await Driver.signsOn(client, open);
    const nonsense = { rideId: "x".repeat(128) };
    await until("the server ends the stream", async () => {
      // The server refuses each of them in a message that this client does not read.
      for (let n = 0; n < 200; n++) driver.says("arrive", nonsense);
      return (await client.ask(open, quote, { pickup: SQUARE, dropoff: HARBOUR })).pickupEta === undefined;
    });
    await fails(all(driver.down), Code.RESOURCE_EXHAUSTED);
  },

  "over TLS": async (client, { tls }) => (await Driver.signsOn(client, tls)).signsOff(),

  "with a token": async (client, { strict, tokens, car }) => {
    const token = tokens.driver;
    await (await Driver.signsOn(client, strict, { token }, BigInt(car))).signsOff();
    const another = new Driver(client, strict, { token });
    another.up.push(signOn(BigInt(car) + 1n));
    another.up.end();
    await fails(all(another.down), Code.PERMISSION_DENIED, "NOT_YOUR_CAR");
  },

  "reflection v1": async (client, { open }) => reflected(client, open, ServerReflection),

  "reflection v1alpha": async (client, { open }) => reflected(client, open, OlderReflection),

  "a call by reflection alone": async (client, { open }) => {
    const registry = await reflected(client, open, ServerReflection);
    const method = registry.getService("rides.v1.Rides").method.quote;
    ok(method !== quote, "the method must come from reflection");
    const answer = await client.ask(open, method, { pickup: SQUARE, dropoff: HARBOUR });
    equal(answer.fare.currency, "EUR", "the currency");
  },
};

/** Reads the descriptors of all services of a server by reflection. */
async function reflected(client, server, reflection) {
  const asked = new Pushed();
  const answers = client.open(server, reflection.method.serverReflectionInfo, asked);
  const ask = async (kind, value) => {
    asked.push({ messageRequest: { case: kind, value } });
    return (await answers.next()).messageResponse;
  };
  const nobody = await ask("fileContainingSymbol", "rides.v1.Nobody");
  equal(nobody.value.errorCode, Code.NOT_FOUND, "the error code for an unknown service");
  const services = (await ask("listServices", "")).value.service.map(({ name }) => name);
  for (const name of ["rides.v1.Rides", "rides.v1.Fleet", "rides.v1.City", "rides.v1.Sessions", "grpc.health.v1.Health"]) {
    ok(services.includes(name), `${name} is listed`);
  }

  const files = new Map();
  const take = ({ value }) => value.fileDescriptorProto.map((bytes) => fromBinary(FileDescriptorProtoSchema, bytes));
  const wanted = [];
  for (const name of services) wanted.push(...take(await ask("fileContainingSymbol", name)));
  for (let file; (file = wanted.pop()); ) {
    if (files.has(file.name)) continue;
    files.set(file.name, file);
    for (const name of file.dependency) wanted.push(...take(await ask("fileByFilename", name)));
  }
  asked.end();
  await all(answers);
  const registry = createFileRegistry(create(FileDescriptorSetSchema, { file: ordered(files) }));
  for (const name of services) ok(registry.getService(name)?.methods.length > 0, `${name} is described`);
  return registry;
}

/** Sorts the files: each one comes after its dependencies. */
function ordered(files) {
  const done = new Set();
  const add = (name) => {
    if (done.has(name)) return;
    files.get(name).dependency.forEach(add);
    done.add(name);
  };
  [...files.keys()].forEach(add);
  return [...done].map((name) => files.get(name));
}

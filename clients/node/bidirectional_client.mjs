// Drives one ride: signs on, reports positions, takes an offer, finishes the ride, signs off. Bidirectional streaming.
// A rider must book: on the page, with unary_client.mjs, or one of the server's simulated riders. The server's simulated
// cars are numbered from 1.

import { api, connect, flags, report } from "./channel.mjs";

process.on("uncaughtException", report);
const options = flags({ car: { type: "string", default: "2000001" }, driver: { type: "string", default: "aino" } });
const drive = connect(api.Fleet, options).drive();

const here = { lat: 60.171, lng: 24.941 };
drive.write({ signOn: { carId: Number(options.car), driverId: options.driver, location: here } });
const reports = setInterval(() => drive.write({ position: { location: here } }), 1_000);

// The message to send for each state of the ride.
const next = {
  RIDE_STATE_ASSIGNED: (rideId) => ({ arrive: { rideId } }),
  RIDE_STATE_ARRIVED: (rideId) => ({ pickUp: { rideId } }),
  RIDE_STATE_ON_TRIP: (rideId) => ({ dropOff: { rideId } }),
  RIDE_STATE_COMPLETED: () => ({ signOff: {} }),
};

for await (const { message: kind, offer, assignment, update } of drive) {
  if (kind === "offer") {
    console.log("offered", offer.rideId);
    drive.write({ accept: { rideId: offer.rideId } });
  } else if (kind === "assignment" || kind === "update") {
    const { ride } = assignment ?? update;
    console.log(ride.state);
    drive.write(next[ride.state](ride.rideId));
  } else if (kind !== "heartbeat") {
    console.log(kind);
  }
}
clearInterval(reports);
drive.end();

// A driver's day: sign on, report, take an offer, finish the ride, sign off. A stream each way.
// Somebody must book: the page, unary_client.mjs, or the server's own riders. The server's own cars count from 1.

import { api, connect, flags, report } from "./channel.mjs";

process.on("uncaughtException", report);
const options = flags({ car: { type: "string", default: "2000001" }, driver: { type: "string", default: "aino" } });
const drive = connect(api.Fleet, options).drive();

const here = { lat: 60.171, lng: 24.941 };
drive.write({ signOn: { carId: Number(options.car), driverId: options.driver, location: here } });
const reports = setInterval(() => drive.write({ position: { location: here } }), 1_000);

// What to do when the ride has come so far.
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

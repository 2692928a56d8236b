// A driver's day: sign on, report, take an offer, finish the ride, sign off. A stream each way.
// Somebody must book: the page, or unary_client.mjs.

import { api, connect, flags } from "./channel.mjs";

const options = flags({ car: { type: "string", default: "7" }, driver: { type: "string", default: "aino" } });
const drive = connect(api.Fleet, options).drive();

const here = { lat: 60.171, lng: 24.941 };
drive.write({ signOn: { carId: Number(options.car), driverId: options.driver, location: here } });
const reports = setInterval(() => drive.write({ position: { location: here } }), 1_000);

// What to say to what is heard.
const answers = {
  offer: ({ rideId }) => ({ accept: { rideId } }),
  assignment: ({ ride }) => ({ arrive: { rideId: ride.rideId } }),
  update: ({ ride }) => ({
    RIDE_STATE_ARRIVED: { pickUp: { rideId: ride.rideId } },
    RIDE_STATE_ON_TRIP: { dropOff: { rideId: ride.rideId } },
    RIDE_STATE_COMPLETED: { signOff: {} },
  })[ride.state],
};

for await (const heard of drive) {
  const kind = heard.message;
  if (kind !== "heartbeat") console.log(kind, heard[kind].ride?.state ?? heard[kind].rideId ?? "");
  const answer = answers[kind]?.(heard[kind]);
  if (answer) drive.write(answer);
}
clearInterval(reports);
drive.end();

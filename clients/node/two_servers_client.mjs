// Calls two servers in turn. When one of them stops, all calls go to the other.
// Start `cargo xtask run`, and in another terminal:
//   cargo run --release -p rides-server -- --data-dir :memory: --listen 127.0.0.1:8081
// Then stop one of them.

import { setTimeout as sleep } from "node:timers/promises";
import { ROUND_ROBIN, api, connect, flags, report, within } from "./channel.mjs";

process.on("uncaughtException", report);
const options = flags({ server: { type: "string", default: "ipv4:127.0.0.1:8080,127.0.0.1:8081" } });
const rides = connect(api.Rides, options, ROUND_ROBIN);
const trip = { pickup: { lat: 60.171, lng: 24.941 }, dropoff: { lat: 60.167, lng: 24.947 } };

for (;;) {
  const call = rides.quote(trip, within(), (error, quote) => {
    console.log(call.getPeer(), error ? error.message : `${(quote.fare.minorUnits / 100).toFixed(2)} ${quote.fare.currency}`);
  });
  await sleep(500);
}

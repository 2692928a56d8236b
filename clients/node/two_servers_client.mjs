// Two addresses, in turn; when one stops, calls go on with the other.
//   cargo run -p rides-server -- --data-dir :memory: --listen 127.0.0.1:8080    and in another terminal :8081
// Stop one of them and look on.

import { setTimeout as sleep } from "node:timers/promises";
import { ROUND_ROBIN, api, connect, flags, soon } from "./channel.mjs";

const rides = connect(api.Rides, { ...flags(), server: "ipv4:127.0.0.1:8080,127.0.0.1:8081" }, ROUND_ROBIN);
const trip = { pickup: { lat: 60.171, lng: 24.941 }, dropoff: { lat: 60.167, lng: 24.947 } };

for (;;) {
  const call = rides.quote(trip, soon(), (error, quote) => {
    console.log(call.getPeer(), error ? error.message : `${quote.fare.minorUnits / 100} ${quote.fare.currency}`);
  });
  await sleep(500);
}

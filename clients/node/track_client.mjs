// Reports the position of a car a hundred times. Client streaming.

import { Readable } from "node:stream";
import { api, connect, flags, report, within } from "./channel.mjs";

process.on("uncaughtException", report);
const options = flags({ car: { type: "string", default: "2000001" }, positions: { type: "string", default: "100" } });

/** Yields positions. The stream takes the next one when flow control allows it. */
function* positions() {
  for (let n = 0; n < Number(options.positions); n++) {
    yield { carId: Number(options.car), location: { lat: 60.171, lng: 24.941 + n / 1e6 } };
  }
}

const upload = connect(api.Rides, options).track(within(60), (error, answer) => {
  if (error) throw error;
  console.log(`the server took ${answer.count} positions`);
});
Readable.from(positions()).pipe(upload);

// Reports where a car is, a hundred times. A stream there, one message back.

import { once } from "node:events";
import { api, connect, flags } from "./channel.mjs";

const options = flags({ car: { type: "string", default: "2000001" }, positions: { type: "string", default: "100" } });
const rides = connect(api.Rides, options);

const upload = rides.track((error, answer) => {
  if (error) throw error;
  console.log(`the server took ${answer.count} positions`);
});
for (let n = 0; n < Number(options.positions); n++) {
  const position = { carId: Number(options.car), location: { lat: 60.171, lng: 24.941 + n / 1e6 } };
  // When the server is slower than we are, wait for it.
  if (!upload.write(position)) await once(upload, "drain");
}
upload.end();

// Counts the cars in the city centre, and shows no late frame. Server streaming.
//
// A frame has the changes since the frame before it, so no frame may be skipped. When frames are late, the program opens a
// new stream, which begins with all current cars. Try it with --pause 1.

import { setTimeout as sleep } from "node:timers/promises";
import grpc from "@grpc/grpc-js";
import { api, connect, flags, NEWEST_ONLY, report, RETRIES } from "./channel.mjs";

process.on("uncaughtException", report);
const options = flags({
  pause: { type: "string", default: "0" }, // Pause for this many seconds after each frame.
  latest: { type: "string", default: "2" }, // Show no frame that is later than this, in seconds.
  "any-window": { type: "boolean", default: false }, // Use the default flow-control window of grpc-js.
});
const fleet = connect(api.Fleet, options, RETRIES, options["any-window"] ? {} : NEWEST_ONLY);

const cityCentre = { viewport: { south: 60.15, west: 24.9, north: 60.19, east: 24.98 } };
// cars: the cell of each car, by its number, with the tick of that report. counts: the number of cars of each cell, for views
// with too many cars.
const cars = new Map();
const counts = new Map();

for (let again = true; again; ) {
  try {
    again = await follow(fleet.watch(cityCentre));
  } catch (error) {
    if (error.code !== grpc.status.UNAVAILABLE || cars.size + counts.size === 0) throw error;
    console.log("the connection broke: retrying in 1 s");
    await sleep(1_000);
  }
}

/**
 * Shows a stream until a frame is late. Returns true if a frame was late.
 *
 * The clocks of server and client differ, by the same time in every frame. So the earliest frame counts as on time.
 */
async function follow(frames) {
  let promptest = Infinity;
  for await (const frame of frames) {
    const way = performance.now() / 1_000 - (frame.time.seconds + frame.time.nanos / 1e9);
    promptest = Math.min(promptest, way);
    const late = way - promptest;
    if (late > Number(options.latest)) {
      frames.on("error", () => {}); // The cancellation is not an error.
      frames.cancel();
      console.log(`${late.toFixed(1)} s late: opening a new stream`);
      return true;
    }
    apply(frame);
    const total = [...counts.values()].reduce((sum, cars) => sum + cars, cars.size);
    console.log(`tick ${frame.tick}: ${total} cars, ${late.toFixed(1)} s late`);
    await sleep(1_000 * Number(options.pause));
  }
  return false;
}

/** Applies a frame. Cars come first and departures second: a car is in its new cell before it leaves the old one. */
function apply({ detail, densities, cells }) {
  if (detail !== "MAP_DETAIL_UNSPECIFIED") {
    // Set in the first frame of a stream, and when it changes. All earlier cars and counts are void.
    cars.clear();
    counts.clear();
  }
  for (const { cell, cars } of densities) counts.set(cell, cars);
  for (const { cell, tick, cars: numbers } of cells) for (const number of numbers) cars.set(number, { cell, tick });
  for (const { cell, tick, snapshot, left } of cells) {
    for (const number of snapshot ? [...cars.keys()] : left) {
      const car = cars.get(number);
      if (car?.cell === cell && car.tick < tick) cars.delete(number);
    }
  }
}

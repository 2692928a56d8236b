// Counts the cars of the city centre as they move, and shows no frame that is late. One message there, a stream back.
//
// A frame tells what has changed since the frame before it, so none may be left out. When frames are late, another stream
// begins with all that is there now. Try it: --pause 1.

import { setTimeout as sleep } from "node:timers/promises";
import grpc from "@grpc/grpc-js";
import { api, connect, flags, NEWEST_ONLY, report, RETRIES } from "./channel.mjs";

process.on("uncaughtException", report);
const options = flags({
  pause: { type: "string", default: "0" }, // Be slow: take this many seconds over each frame.
  latest: { type: "string", default: "2" }, // Show no frame that is later than this, in seconds.
  "any-window": { type: "boolean", default: false }, // Let frames wait in as large a window as grpc-js likes.
});
const fleet = connect(api.Fleet, options, RETRIES, options["any-window"] ? {} : NEWEST_ONLY);

const cityCentre = { viewport: { south: 60.15, west: 24.9, north: 60.19, east: 24.98 } };
// By number: the cell that a car is in, and the tick at which it was. Where there are too many, how many each cell has.
const cars = new Map();
const counts = new Map();

for (let again = true; again; ) {
  try {
    again = await follow(fleet.watch(cityCentre));
  } catch (error) {
    if (error.code !== grpc.status.UNAVAILABLE || cars.size + counts.size === 0) throw error;
    console.log("the connection broke; once more in a second");
    await sleep(1_000);
  }
}

/**
 * Shows a stream until a frame is late. Returns whether one was.
 *
 * The server's clock and ours differ, by as much in every frame: the promptest frame of a stream is taken to be on time.
 */
async function follow(frames) {
  let promptest = Infinity;
  for await (const frame of frames) {
    const way = performance.now() / 1_000 - (frame.time.seconds + frame.time.nanos / 1e9);
    promptest = Math.min(promptest, way);
    const late = way - promptest;
    if (late > Number(options.latest)) {
      frames.on("error", () => {}); // That it is cancelled is no news.
      frames.cancel();
      console.log(`${late.toFixed(1)} s late: another stream begins with what is there now`);
      return true;
    }
    apply(frame);
    const total = [...counts.values()].reduce((sum, cars) => sum + cars, cars.size);
    console.log(`tick ${frame.tick}: ${total} cars, ${late.toFixed(1)} s late`);
    await sleep(1_000 * Number(options.pause));
  }
  return false;
}

/** Takes in what a frame tells. Cars first, absences after: a car is in its new cell before it leaves the old one. */
function apply({ detail, densities, cells }) {
  if (detail !== "MAP_DETAIL_UNSPECIFIED") {
    // In the first frame of a stream, and where it changes: nothing from before holds.
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

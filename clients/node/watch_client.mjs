// Follows a ride to its end, and goes on where it was when the connection breaks. One message there, a stream back.
// It has no deadline, for a ride takes its time: that the server is there at all, keepalive finds out (channel.mjs).

import { setTimeout as sleep } from "node:timers/promises";
import grpc from "@grpc/grpc-js";
import { api, connect, flags, report } from "./channel.mjs";

process.on("uncaughtException", report);
const options = flags({ ride: { type: "string" } });
if (!options.ride) throw "which one? --ride ID, as unary_client.mjs prints it";
const rides = connect(api.Rides, options);

// Where the story was left: versions count within an epoch only.
let cursor = { epoch: "", afterVersion: 0 };
for (let over = false; !over; ) {
  try {
    for await (const message of rides.watch({ rideId: options.ride, ...cursor })) take(message);
    over = true; // OK: nothing more will happen to this ride.
  } catch (error) {
    if (error.code !== grpc.status.UNAVAILABLE || !cursor.epoch) throw error;
    console.log("the connection broke; once more in a second");
    await sleep(1_000);
  }
}

function take({ message: kind, opened, event, progress }) {
  if (kind === "opened") {
    // The whole ride follows unless it resumed: then what came before would come twice.
    cursor = { epoch: opened.epoch, afterVersion: opened.resumed ? cursor.afterVersion : 0 };
  } else if (kind === "event") {
    cursor.afterVersion = event.version;
    console.log(`${event.version}: ${event.event}`);
  } else if (kind === "progress") {
    console.log(`   ${progress.remainingM} m to go`);
  }
}

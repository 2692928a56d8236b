// Follows a ride to its end, and resumes the stream when the connection breaks. Server streaming.
// The call has no deadline, since a ride may take long. Keepalive notices a dead connection (channel.mjs).

import { setTimeout as sleep } from "node:timers/promises";
import grpc from "@grpc/grpc-js";
import { api, connect, flags, report } from "./channel.mjs";

process.on("uncaughtException", report);
const options = flags({ ride: { type: "string" } });
if (!options.ride) throw "--ride is missing: give the id of a ride, as unary_client.mjs prints it";
const rides = connect(api.Rides, options);

// The position in the stream. A version is only valid with its epoch.
let cursor = { epoch: "", afterVersion: 0 };
for (let over = false; !over; ) {
  try {
    for await (const message of rides.watch({ rideId: options.ride, ...cursor })) take(message);
    over = true; // The stream ended with OK: the ride is over.
  } catch (error) {
    if (error.code !== grpc.status.UNAVAILABLE || !cursor.epoch) throw error;
    console.log("the connection broke: retrying in 1 s");
    await sleep(1_000);
  }
}

function take({ message: kind, opened, event, progress }) {
  if (kind === "opened") {
    // If the stream did not resume, all events follow from version 1.
    cursor = { epoch: opened.epoch, afterVersion: opened.resumed ? cursor.afterVersion : 0 };
  } else if (kind === "event") {
    cursor.afterVersion = event.version;
    console.log(`${event.version}: ${event.event}`);
  } else if (kind === "progress") {
    console.log(`   ${progress.remainingM} m to go`);
  }
}

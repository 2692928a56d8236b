// Checks the server's health, gets a quote, books a ride, and reads it. Unary calls.

import { randomUUID } from "node:crypto";
import { service as health } from "grpc-health-check";
import grpc from "@grpc/grpc-js";
import { api, ask, connect, flags, report } from "./channel.mjs";

process.on("uncaughtException", report);
const options = flags();
const Health = grpc.makeGenericClientConstructor(health, "grpc.health.v1.Health");
const rides = connect(api.Rides, options);
const trip = { pickup: { lat: 60.171, lng: 24.941 }, dropoff: { lat: 60.167, lng: 24.947 } };

const { status } = await ask(connect(Health, options), "check", { service: "rides.v1.Rides" });
console.log(`rides.v1.Rides is ${status}`);

const quote = await ask(rides, "quote", trip);
console.log(`${quote.pickupName} to ${quote.dropoffName}: ${(quote.fare.minorUnits / 100).toFixed(2)} ${quote.fare.currency}`);

// A repeat with the same request_id returns the same ride, so a client may retry after a lost response.
const { ride } = await ask(rides, "book", { requestId: randomUUID(), ...trip });
const again = await ask(rides, "get", { rideId: ride.rideId });
console.log(`${ride.rideId} is ${again.ride.state}`);

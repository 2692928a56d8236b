// A page over gRPC-Web with only Connect's client: shows the fare of a ride, and the number of cars in view.

import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-web";
import { Fleet, MapDetail } from "../gen/rides/v1/fleet_pb.js";
import { Rides } from "../gen/rides/v1/rides_pb.js";

const show = (id, text) => (document.getElementById(id).textContent = text);
addEventListener("error", ({ error }) => {
  const { code, rawMessage } = ConnectError.from(error);
  show("trouble", `${Code[code]}: ${rawMessage}. Reload to try again.`);
});

const transport = createGrpcWebTransport({ baseUrl: location.origin });

const { fare, pickupName, dropoffName } = await createClient(Rides, transport).quote(
  { pickup: { lat: 60.171, lng: 24.941 }, dropoff: { lat: 60.167, lng: 24.947 } },
  { timeoutMs: 10_000 },
);
show("quote", `${pickupName} to ${dropoffName}: ${(Number(fare.minorUnits) / 100).toFixed(2)} ${fare.currency}`);

// Cells come as snapshots first, and then as deltas: see proto/rides/v1/fleet.proto.
const cells = new Map();
const viewport = { south: 60.16, west: 24.92, north: 60.18, east: 24.96 };
for await (const frame of createClient(Fleet, transport).watch({ viewport })) {
  if (frame.detail !== MapDetail.UNSPECIFIED) cells.clear();
  for (const { cell, snapshot, cars, left } of frame.cells) {
    if (snapshot || !cells.has(cell)) cells.set(cell, new Set());
    for (const car of cars) cells.get(cell).add(car);
    for (const car of left) cells.get(cell).delete(car);
  }
  show("cars", [...cells.values()].reduce((sum, cell) => sum + cell.size, 0));
}

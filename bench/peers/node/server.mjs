// A server with connect-node, written in the usual way: every stream hands the library a message once per tick.
// Usage: node server.mjs 1|2 DESCRIPTORS, where the number is the version of HTTP.

import { readFileSync } from "node:fs";
import http from "node:http";
import http2 from "node:http2";
import { create, createFileRegistry, fromBinary } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { connectNodeAdapter } from "@connectrpc/connect-node";

const CARS = 2000;
const TICK_MS = 250;
const STEP_DEG = 2.5 / 111_000; // 10 m/s

const [version, descriptors] = process.argv.slice(2);
const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, readFileSync(descriptors)));
const Tick = registry.getMessage("bench.v1.Tick");

const cars = Array.from({ length: CARS }, (_, index) => ({
  id: index + 1,
  lat: 60.155 + 0.03 * Math.random(),
  lng: 24.905 + 0.06 * Math.random(),
  heading: Math.floor(360 * Math.random()),
  state: 1,
}));

// Resolves with the next tick, for all streams that wait for it.
let next = deferred();
let number = 0n;

function deferred() {
  let resolve;
  return { promise: new Promise((done) => (resolve = done)), resolve };
}

setInterval(() => {
  for (const car of cars) {
    const heading = (car.heading * Math.PI) / 180;
    car.lat += STEP_DEG * Math.cos(heading);
    car.lng += 2 * STEP_DEG * Math.sin(heading);
  }
  const { resolve } = next;
  next = deferred();
  number += 1n;
  resolve(create(Tick, { tick: number, cars }));
}, TICK_MS);

const routes = (router) => {
  router.service(registry.getService("bench.v1.Board"), {
    async *watch() {
      for (;;) yield await next.promise;
    },
  });
  router.service(registry.getService("grpc.health.v1.Health"), {
    check: () => ({ status: 1 }),
  });
};

const handler = connectNodeAdapter({ routes });
const server = version === "2" ? http2.createServer(handler) : http.createServer(handler);
server.listen(0, "127.0.0.1", 4096, () => {
  const of = (name) => {
    const url = new URL(`node_modules/${name}/package.json`, import.meta.url);
    return JSON.parse(readFileSync(url)).version;
  };
  const about = `connect-node ${of("@connectrpc/connect-node")}, protobuf-es ${of("@bufbuild/protobuf")}, Node ${process.versions.node}`;
  console.log(`${about} listening on http://127.0.0.1:${server.address().port}`);
});

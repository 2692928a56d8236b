// The common part of the programs in this folder: flags, the services, and clients with TLS, a token, retries and keepalive.

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import grpc from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";

const PROTO = fileURLToPath(new URL("../../proto", import.meta.url));
const FILES = ["rides", "fleet", "city", "sessions"].map((name) => `rides/v1/${name}.proto`);

/** The options of proto-loader for messages as plain objects. */
export const AS_PLAIN_OBJECTS = { longs: Number, enums: String, oneofs: true, defaults: true };

/** The services of rides.v1, as client classes. */
export const { v1: api } = grpc.loadPackageDefinition(loadSync(FILES, { ...AS_PLAIN_OBJECTS, includeDirs: [PROTO] })).rides;

/**
 * The retry policy for a server that is unavailable. Only for calls that are safe to repeat: reads, Book with its request_id,
 * Cancel.
 */
const RETRY = {
  methodConfig: [
    {
      name: ["Quote", "Book", "Get", "List", "Cancel", "Watch"].map((method) => ({ service: "rides.v1.Rides", method })),
      retryPolicy: {
        maxAttempts: 5,
        initialBackoff: "0.2s",
        maxBackoff: "2s",
        backoffMultiplier: 2,
        retryableStatusCodes: ["UNAVAILABLE"],
      },
    },
  ],
};

/** A service config (grpc.service_config) with retries. */
export const RETRIES = JSON.stringify({ ...RETRY, loadBalancingConfig: [{ pick_first: {} }] });
/** The same, with calls balanced over all addresses of a name (round robin). */
export const ROUND_ROBIN = JSON.stringify({ ...RETRY, loadBalancingConfig: [{ round_robin: {} }] });

/**
 * A connection that is silent for 20 s gets a ping, and is closed 10 s later if there is no response. A stream may be silent
 * for minutes, and must notice that its server is gone.
 */
const KEEPALIVE = { "grpc.keepalive_time_ms": 20_000, "grpc.keepalive_timeout_ms": 10_000 };

/**
 * For Fleet.Watch: the server sends a slow viewer fewer, newer frames. But it sends ahead the frames that fit into the
 * stream's flow-control window, where they get old. Node buffers another 16 KiB, and grpc-js 16 messages, so a program should
 * read each frame at once.
 */
export const NEWEST_ONLY = { "grpc-node.flow_control_window": 4_096 };

/** A server on this machine is called directly, even if the environment names a proxy (http_proxy, grpc_proxy). */
export const NO_PROXY = { "grpc.enable_http_proxy": 0 };
const THIS_MACHINE = /^(localhost|127(\.\d+){3}|\[::1\])(:\d+)?$/i;

/** Returns true if every address in HOST:PORT, or in ipv4:HOST:PORT,HOST:PORT, is of this machine. */
const isHere = (server) => server.replace(/^(dns|ipv4|ipv6):\/{0,3}/, "").split(",").every((address) => THIS_MACHINE.test(address));

/** Parses --server, --ca and --token-file, and the flags in `more`. */
export function flags(more = {}) {
  const common = { server: { type: "string", default: "localhost:8080" }, ca: { type: "string" }, "token-file": { type: "string" } };
  return parseArgs({ options: { ...common, ...more } }).values;
}

/** Returns a client of one service: `connect(api.Rides, flags())`. It uses the CA and the token of the flags. */
export function connect(Service, { server, ca, "token-file": tokenFile }, config = RETRIES, more = {}) {
  const transport = ca ? grpc.credentials.createSsl(readFileSync(ca)) : grpc.credentials.createInsecure();
  const token = tokenFile && tokenIn(tokenFile);
  const showToken = (options, next) =>
    new grpc.InterceptingCall(next(options), {
      start(metadata, listener, next) {
        if (token) metadata.set("authorization", `Bearer ${token}`);
        next(metadata, listener);
      },
    });
  const direct = isHere(server) ? NO_PROXY : {};
  return new Service(server, transport, { "grpc.service_config": config, ...KEEPALIVE, ...direct, ...more, interceptors: [showToken] });
}

function tokenIn(file) {
  const token = readFileSync(file, "utf8").trim();
  if (!/^[!-~]+$/.test(token)) throw `${file} holds no token`;
  return token;
}

/** Returns a deadline in `seconds`. Each call should have one. */
export const within = (seconds = 10) => ({ deadline: Date.now() + 1_000 * seconds });

/** Ends the program with one line for an uncaught error: a failed call, a missing file, or a wrong flag. */
export function report(error) {
  const { code, details, message } = error;
  if (code === "EPIPE") process.exit(); // The reader of the output has ended.
  // Messages of OpenSSL have two lines.
  console.error(code in grpc.status ? `${grpc.status[code]}: ${details.replace(/\s+/g, " ")}` : code ? message : error);
  process.exit(1);
}

/** Makes a unary call and returns a promise: `await ask(rides, "quote", request)`. */
export const ask = (client, method, request) =>
  new Promise((resolve, reject) => client[method](request, within(), (error, answer) => (error ? reject(error) : resolve(answer))));

// What the programs beside this file share: flags, the services, a channel, and what every call is made with.

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import grpc from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";

const PROTO = fileURLToPath(new URL("../../proto", import.meta.url));
const FILES = ["rides", "fleet", "city", "sessions"].map((name) => `rides/v1/${name}.proto`);

/** How messages look in JavaScript. */
export const AS_PLAIN_OBJECTS = { longs: Number, enums: String, oneofs: true, defaults: true };

/** The services of rides.v1, as client classes. */
export const { v1: api } = grpc.loadPackageDefinition(loadSync(FILES, { ...AS_PLAIN_OBJECTS, includeDirs: [PROTO] })).rides;

/** Calls are tried again while a server is away. Only what is safe to repeat: reads, Book by its request_id, Cancel. */
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

/** A service config (grpc.service_config) that tries again. */
export const RETRIES = JSON.stringify({ ...RETRY, loadBalancingConfig: [{ pick_first: {} }] });
/** The same, over all addresses of a name in turn. */
export const ROUND_ROBIN = JSON.stringify({ ...RETRY, loadBalancingConfig: [{ round_robin: {} }] });

/**
 * A connection is asked for a sign of life when it has been quiet for 20 s, and given up 10 s later: a stream may have
 * nothing to say for minutes, and is not to wait for a server that is gone.
 */
const KEEPALIVE = { "grpc.keepalive_time_ms": 20_000, "grpc.keepalive_timeout_ms": 10_000 };

/**
 * For Fleet.Watch: the server sends a slow viewer fewer, newer frames, but those that fit into the window of a stream are sent
 * ahead, and get old there. Node itself keeps 16 KiB more, and grpc-js 16 messages: read each frame as it comes.
 */
export const NEWEST_ONLY = { "grpc-node.flow_control_window": 4_096 };

/** A server on this machine is called directly, though the environment may name a proxy (http_proxy, grpc_proxy). */
export const NO_PROXY = { "grpc.enable_http_proxy": 0 };
const THIS_MACHINE = /^(localhost|127(\.\d+){3}|\[::1\])(:\d+)?$/i;

/** Whether every address in HOST:PORT, or in ipv4:HOST:PORT,HOST:PORT, is of this machine. */
const isHere = (server) => server.replace(/^(dns|ipv4|ipv6):\/{0,3}/, "").split(",").every((address) => THIS_MACHINE.test(address));

/** --server, --ca and --token-file, and what the program adds. */
export function flags(more = {}) {
  const common = { server: { type: "string", default: "localhost:8080" }, ca: { type: "string" }, "token-file": { type: "string" } };
  return parseArgs({ options: { ...common, ...more } }).values;
}

/** A client of one service: `connect(api.Rides, flags())`. Credentials hold the CA and the token. */
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

/** Ten seconds from now, or as many as given: nothing waits for ever. */
export const within = (seconds = 10) => ({ deadline: Date.now() + 1_000 * seconds });

/** Ends a program that nothing else caught: a call that failed, a file that is not there, or a flag, in one line. */
export function report(error) {
  const { code, details, message } = error;
  if (code === "EPIPE") process.exit(); // Whoever reads what is printed has had enough.
  // OpenSSL says things in two lines.
  console.error(code in grpc.status ? `${grpc.status[code]}: ${details.replace(/\s+/g, " ")}` : code ? message : error);
  process.exit(1);
}

/** A unary call as a promise: `await ask(rides, "quote", request)`. */
export const ask = (client, method, request) =>
  new Promise((resolve, reject) => client[method](request, within(), (error, answer) => (error ? reject(error) : resolve(answer))));

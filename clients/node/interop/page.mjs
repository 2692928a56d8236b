// The clients that run in a page. The page has another origin than the servers, so that the test includes CORS.

import { createGrpcWebTransport } from "@connectrpc/connect-web";
import { inBrowsers } from "./checks/index.mjs";
import { connect } from "./clients/connect.mjs";
import { grpcWeb } from "./clients/grpc-web.mjs";
import { run } from "./report.mjs";

const ofBrowsers = {
  "client streaming": "browsers do not stream uploads",
  bidirectional: "browsers do not stream uploads",
  "servers that fail: one of two stops": "a client has one address",
  "servers that fail: tried again": "a client has no retry policy",
};
const lacks = { "binary request metadata": "pages of another origin cannot send custom headers" };
const googleLacks = { ...lacks, "word of a call cancelled": "the library reports no status of a cancelled call" };
const buffers = "in binary format the library delivers a stream only at its end";
const ofBinary = {
  ...ofBrowsers,
  "live events": buffers,
  "cars in view": buffers,
  "health, watched": buffers,
  "health as it changes": buffers,
};

const clients = [
  connect("connect-web", ({ url }) => createGrpcWebTransport({ baseUrl: url }), ofBrowsers, lacks),
  grpcWeb("grpc-web", "binary", ofBinary, googleLacks),
  grpcWeb("grpc-web-text", "text", ofBrowsers, googleLacks),
];

/** Runs the checks. browser.mjs calls it. */
globalThis.interop = async (list, servers, only) => {
  servers.start = startServer;
  const lines = [];
  for (const client of clients) {
    client.inBrowser = true;
    if (only.length === 0 || only.includes(client.id)) {
      await run(client, list, inBrowsers, servers, (line) => lines.push(line));
    }
  }
  return lines;
};

/** Asks browser.mjs to start a server. */
async function startServer() {
  const { url } = await (await fetch("/server", { method: "POST" })).json();
  return { url, stop: () => fetch("/server", { method: "DELETE" }) };
}

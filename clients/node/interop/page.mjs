// The clients that run in a page. It is not of the servers' origin, so that CORS is in the test too.

import { createGrpcWebTransport } from "@connectrpc/connect-web";
import { inBrowsers } from "./checks/index.mjs";
import { connect } from "./clients/connect.mjs";
import { grpcWeb } from "./clients/grpc-web.mjs";
import { run } from "./report.mjs";

const ofBrowsers = {
  "client streaming": "browsers do not stream uploads",
  bidirectional: "browsers do not stream uploads",
  "servers that fail": "a page has one address, and policies of its own making",
  "unary: over TLS, of a CA unknown": "whom to trust is the browser's matter",
};
const lacks = { "binary request metadata": "pages of another origin add no headers of their own" };
const googleLacks = { ...lacks, "word of a call cancelled": "it says nothing more of one" };
const buffers = "in binary it hands a stream over at its end";
const ofBinary = { ...ofBrowsers, "live events": buffers, "cars in view": buffers, "health, watched": buffers };

const clients = [
  connect("connect-web", ({ url }) => createGrpcWebTransport({ baseUrl: url }), ofBrowsers, lacks),
  grpcWeb("grpc-web", "binary", ofBinary, googleLacks),
  grpcWeb("grpc-web-text", "text", ofBrowsers, googleLacks),
];

/** Called by browser.mjs. */
globalThis.interop = async (list, servers, only) => {
  const lines = [];
  for (const client of clients) {
    client.inBrowser = true;
    if (only.length === 0 || only.includes(client.id)) {
      await run(client, list, inBrowsers, servers, (line) => lines.push(line));
    }
  }
  return lines;
};

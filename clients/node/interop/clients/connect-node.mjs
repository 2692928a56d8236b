// The clients of @connectrpc/connect-node: gRPC, and gRPC-Web over HTTP/2, which also supports bidirectional streaming.

import { readFileSync } from "node:fs";
import { createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { connect } from "./connect.mjs";

const options = ({ url, ca }) => ({
  baseUrl: url,
  httpVersion: "2",
  nodeOptions: ca ? { ca: readFileSync(ca) } : {},
});

const ofNode = {
  "servers that fail: one of two stops": "a transport has one address",
  "servers that fail: tried again": "a transport has no retry policy",
};
const lacks = { "to call off an upload": "Node ends it first" };

export const connectNode = connect("connect-node", (server) => createGrpcTransport(options(server)), ofNode, lacks);
export const connectNodeWeb = connect("connect-node-web", (server) => createGrpcWebTransport(options(server)), ofNode, lacks);

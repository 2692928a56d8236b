// The adapter of Connect's clients, for every transport in Node and in browsers.

import { ConnectError, createClient, decodeBinaryHeader, encodeBinaryHeader } from "@connectrpc/connect";
import { Client, Failure, headersOf } from "../client.mjs";

/** Returns a client over the transports that `transportTo(server)` makes. */
export function connect(id, transportTo, cannot, lacks) {
  const transports = new Map();
  const to = (server) => {
    const key = `${server.url} ${server.ca}`;
    if (!transports.has(key)) transports.set(key, transportTo(server));
    return transports.get(key);
  };
  return new Client(id, (server, method, request, options) => call(to(server), method, request, options), cannot, lacks);
}

function call(transport, method, request, options) {
  const headers = headersOf(options).map(([name, value]) =>
    [name, value instanceof Uint8Array ? encodeBinaryHeader(value) : value]);
  const stop = new AbortController();
  const client = createClient({ ...method.parent, methods: [method] }, transport);
  const answer = client[method.localName](request, { headers, timeoutMs: options.deadlineMs, signal: stop.signal });
  return { messages: failing(answer), cancel: () => stop.abort() };
}

async function* failing(answer) {
  try {
    if (Symbol.asyncIterator in answer) yield* answer;
    else yield await answer;
  } catch (error) {
    const { code, rawMessage, metadata } = ConnectError.from(error);
    const status = metadata.get("grpc-status-details-bin");
    throw new Failure(code, rawMessage, status ? decodeBinaryHeader(status) : undefined);
  }
}

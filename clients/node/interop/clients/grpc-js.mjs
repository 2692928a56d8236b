// The client of @grpc/grpc-js, with the four kinds of call that generated stubs use.

import { readFileSync } from "node:fs";
import { once } from "node:events";
import { Client as Channel, Metadata, credentials } from "@grpc/grpc-js";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { NO_PROXY } from "../../channel.mjs";
import { Client, Failure, headersOf } from "../client.mjs";

const channels = new Map();

function channelTo(server) {
  const key = `${server.url} ${server.ca}`;
  if (!channels.has(key)) {
    const trust = server.ca ? credentials.createSsl(readFileSync(server.ca)) : credentials.createInsecure();
    // A channel with its own connections, so that a check cannot disturb another one.
    channels.set(key, new Channel(server.address, trust, { "grpc.use_local_subchannel_pool": 1, ...NO_PROXY, ...server.options }));
  }
  return channels.get(key);
}

function call(server, method, request, options) {
  const channel = channelTo(server);
  const metadata = new Metadata();
  for (const [name, value] of headersOf(options)) {
    metadata.set(name, value instanceof Uint8Array ? Buffer.from(value) : value);
  }
  const path = `/${method.parent.typeName}/${method.name}`;
  const encode = (message) => Buffer.from(toBinary(method.input, message));
  const decode = (bytes) => fromBinary(method.output, bytes);
  const terms = options.deadlineMs ? { deadline: Date.now() + options.deadlineMs } : {};

  let ongoing;
  const answered = (start) => new Promise((resolve, reject) => {
    ongoing = start((error, answer) => (error ? reject(error) : resolve(answer)));
  });
  const one = (answer) => (async function* () { yield await answer; })();
  let messages;
  switch (method.methodKind) {
    case "unary":
      messages = one(answered((done) => channel.makeUnaryRequest(path, encode, decode, request, metadata, terms, done)));
      break;
    case "server_streaming":
      messages = ongoing = channel.makeServerStreamRequest(path, encode, decode, request, metadata, terms);
      break;
    case "client_streaming":
      messages = one(answered((done) => channel.makeClientStreamRequest(path, encode, decode, metadata, terms, done)));
      send(ongoing, request);
      break;
    case "bidi_streaming":
      messages = ongoing = channel.makeBidiStreamRequest(path, encode, decode, metadata, terms);
      send(ongoing, request);
      break;
  }
  return { messages: failing(messages), cancel: () => ongoing.cancel() };
}

/** Writes as fast as flow control allows. Errors go to the reader of the call. */
async function send(call, messages) {
  let over = false;
  const ended = once(call, "status").catch(() => {}).then(() => { over = true; });
  for await (const message of messages) {
    if (over || call.destroyed) return;
    if (!call.write(message)) await Promise.race([once(call, "drain"), ended]).catch(() => {});
  }
  call.end();
}

async function* failing(messages) {
  try {
    yield* messages;
  } catch (error) {
    throw new Failure(error.code, error.details, error.metadata?.get("grpc-status-details-bin")[0]);
  }
}

export const grpcJs = new Client("grpc-js", call, {}, { "to call off an upload": "Node ends it first" });

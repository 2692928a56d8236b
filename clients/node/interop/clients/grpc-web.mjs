// The client of Google's grpc-web in a browser. It makes the calls of generated stubs, with the messages of protobuf-es.

import { GrpcWebClientBase, MethodDescriptor, MethodType } from "grpc-web";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { Client, Failure, Pushed, fromBase64, headersOf } from "../client.mjs";

/** Returns a client for a format, "binary" or "text". */
export function grpcWeb(id, format, cannot, lacks) {
  const client = new GrpcWebClientBase({ format });
  return new Client(id, (server, method, request, options) => call(client, server, method, request, options), cannot, lacks);
}

function call(client, server, method, request, options) {
  const url = `${server.url}/${method.parent.typeName}/${method.name}`;
  const metadata = Object.fromEntries(headersOf(options));
  if (options.deadlineMs) metadata.deadline = String(Date.now() + options.deadlineMs);
  const unary = method.methodKind === "unary";
  const descriptor = new MethodDescriptor(
    url, unary ? MethodType.UNARY : MethodType.SERVER_STREAMING, Object, Object,
    (message) => toBinary(method.input, message), (bytes) => fromBinary(method.output, bytes));

  const messages = new Pushed();
  const fail = (error) => {
    const status = error.metadata?.["grpc-status-details-bin"];
    messages.fail(new Failure(error.code, error.message, status && fromBase64(status)));
  };
  if (unary) {
    const ongoing = client.rpcCall(url, request, metadata, descriptor, (error, answer) => {
      if (error) return fail(error);
      messages.push(answer);
      messages.end();
    });
    return { messages, cancel: () => ongoing.cancel() };
  }
  const stream = client.serverStreaming(url, request, metadata, descriptor);
  stream.on("data", (message) => messages.push(message));
  stream.on("error", fail);
  stream.on("end", () => messages.end());
  return { messages, cancel: () => stream.cancel() };
}

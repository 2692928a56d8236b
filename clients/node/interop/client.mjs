// The interface of clients for the checks, over any library: `ask` returns one response, `open` a stream of responses.
//
// The adapter of a library is one function: call(server, method, request, options) → { messages, cancel() }. `request` is a
// message, or an async iterable of messages for client streaming. `messages` is an async iterable that throws a Failure.

import { create, fromBinary } from "@bufbuild/protobuf";
import { BadRequestSchema, ErrorInfoSchema, RequestInfoSchema, RetryInfoSchema, StatusSchema } from "../gen/google/rpc/details_pb.js";

export const Code = {
  OK: 0, CANCELLED: 1, UNKNOWN: 2, INVALID_ARGUMENT: 3, DEADLINE_EXCEEDED: 4, NOT_FOUND: 5, PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8, FAILED_PRECONDITION: 9, ABORTED: 10, UNIMPLEMENTED: 12, INTERNAL: 13, UNAVAILABLE: 14,
  UNAUTHENTICATED: 16,
};

/** A call that ended with a status other than OK. */
export class Failure extends Error {
  /** `status` is the value of grpc-status-details-bin, decoded from base64, or undefined. */
  constructor(code, message, status) {
    super(message);
    this.code = code;
    this.status = status && fromBinary(StatusSchema, status);
  }

  get badRequest() { return this.#detail(BadRequestSchema); }
  get errorInfo() { return this.#detail(ErrorInfoSchema); }
  get requestInfo() { return this.#detail(RequestInfoSchema); }
  get retryInfo() { return this.#detail(RetryInfoSchema); }

  #detail(schema) {
    const any = this.status?.details.find((any) => any.typeUrl.endsWith(`/${schema.typeName}`));
    return any && fromBinary(schema, any.value);
  }
}

export class Client {
  /** `cannot` names unsupported kinds and checks, `lacks` unsupported parts of other checks. Both have the reasons. */
  constructor(id, call, cannot = {}, lacks = {}) {
    Object.assign(this, { id, call, cannot, lacks });
  }

  /** Returns the reason why the client does not support a check, or undefined. */
  skips(kind, check) {
    return this.cannot[`${kind}: ${check}`] ?? this.cannot[check] ?? this.cannot[kind];
  }

  /**
   * Makes a call and returns its stream of messages, which `cancel` ends. Options: token, binary, deadlineMs, and
   * serverDeadlineMs for a deadline that only the server knows, and not the library.
   */
  open(server, method, request, options = {}) {
    const message = (init) => create(method.input, init);
    const sent = streams(method) ? mapped(request, message) : message(request);
    const { messages, cancel } = this.call(server, method, sent, options);
    const iterator = messages[Symbol.asyncIterator]();
    return {
      cancel,
      /** Returns the next message. Fails at the end of the stream. */
      async next() {
        const { done, value } = await iterator.next();
        if (done) throw new Error("the stream has ended");
        return value;
      },
      [Symbol.asyncIterator]: () => ({ next: () => iterator.next() }),
    };
  }

  /** Makes a call and returns its only response. */
  async ask(server, method, request, options) {
    const answers = [];
    for await (const answer of this.open(server, method, request, options)) answers.push(answer);
    if (answers.length !== 1) throw new Error(`${answers.length} answers`);
    return answers[0];
  }
}

export function streams(method) {
  return method.methodKind === "client_streaming" || method.methodKind === "bidi_streaming";
}

async function* mapped(items, change) {
  for await (const item of items) yield change(item);
}

/** Returns the headers of a call as names and values. Values of -bin headers are bytes. */
export function headersOf({ token, binary, serverDeadlineMs }) {
  const headers = [];
  if (token) headers.push(["authorization", `Bearer ${token}`]);
  if (binary) headers.push(["trace-bin", binary]);
  if (serverDeadlineMs) headers.push(["grpc-timeout", `${serverDeadlineMs}m`]);
  return headers;
}

export const base64 = (bytes) => btoa(String.fromCharCode(...bytes)).replace(/=+$/, "");
export const fromBase64 = (text) => Uint8Array.from(atob(text), (char) => char.charCodeAt(0));

/** An async iterable of pushed messages, until `end` or `fail`. */
export class Pushed {
  #waiting = [];
  #arrived = [];

  push(value) { this.#arrive({ value: Promise.resolve({ done: false, value }) }); }
  end() { this.#arrive({ value: Promise.resolve({ done: true }), last: true }); }
  fail(error) {
    const failed = Promise.reject(error);
    failed.catch(() => {}); // The reader gets the error.
    this.#arrive({ value: failed, last: true });
  }

  #arrive(item) {
    const waiting = this.#waiting.shift();
    if (waiting) waiting(item.value);
    else this.#arrived.push(item);
  }

  [Symbol.asyncIterator]() {
    return {
      next: () => {
        const item = this.#arrived.shift();
        return item ? item.value : new Promise((resolve) => this.#waiting.push(resolve));
      },
    };
  }
}

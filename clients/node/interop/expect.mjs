// Expectations about calls, streams and metrics.

import { Code, Failure } from "./client.mjs";

export function ok(holds, what) {
  if (!holds) throw new Error(`not so: ${what}`);
}

export function equal(actual, expected, what) {
  if (actual !== expected) throw new Error(`${what}: ${show(actual)} instead of ${show(expected)}`);
}

const show = (value) => JSON.stringify(value, (_, value) => (typeof value === "bigint" ? String(value) : value));

/** Waits until a call fails with the code and, if given, with the reason in its ErrorInfo. */
export async function fails(call, code, reason) {
  let failure;
  try {
    await call;
  } catch (error) {
    failure = error;
  }
  if (!(failure instanceof Failure)) throw failure ?? new Error(`the call did not fail with code ${code}`);
  equal(failure.code, code, `the code of "${failure.message}"`);
  if (reason) {
    equal(failure.errorInfo?.reason, reason, "ErrorInfo.reason");
    equal(failure.errorInfo.domain, "rides.v1", "ErrorInfo.domain");
  }
  return failure;
}

/** Checks that the error comes from the server, and not from the library: by its text and its request id. */
export function saidByServer(failure, words) {
  equal(failure.message, words, "the message");
  equal(failure.requestInfo?.requestId.length, 32, "the digits of the trace id");
}

/** Makes an endless call twice. It must end at its deadline: once by the library's clock, once only by the server's. */
export async function endsInTime(call, server, method) {
  await fails(call({ deadlineMs: 400 }), Code.DEADLINE_EXCEEDED);
  await untilInProgress(server, method, 0);
  saidByServer(await fails(call({ serverDeadlineMs: 400 }), Code.DEADLINE_EXCEEDED), "the call's deadline passed");
}

/** Reads a stream to its end and returns its messages. */
export async function all(stream) {
  const messages = [];
  for await (const message of stream) messages.push(message);
  return messages;
}

const LONG = 15_000;
const GLANCE = 20;

/** Waits until a condition holds. */
export async function until(what, holds) {
  for (const end = Date.now() + LONG; !(await holds()); await sleep(GLANCE)) {
    if (Date.now() > end) throw new Error(`still not true: ${what}`);
  }
}

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Returns a value from a server's /metrics, or undefined if it is not there. */
export async function figure(server, name) {
  const lines = (await (await fetch(`${server.url}/metrics`)).text()).split("\n");
  const line = lines.find((line) => line.startsWith(`${name} `));
  return line && Number(line.slice(name.length));
}

/** Returns the name of a method in /metrics. */
const nameOf = (method) => `${method.parent.typeName}/${method.name}`;

/** Returns the number of messages that a server has received for a method. */
export const received = (server, method) => figure(server, `rides_rpc_messages_received_total{method="${nameOf(method)}"}`);

/** Waits until a server has `count` calls of a method in progress. */
export const untilInProgress = (server, method, count) =>
  until(`${count} ${method.name} in progress`, async () => (await figure(server, `rides_open_rpcs{method="${nameOf(method)}"}`)) === count);

/**
 * Cancels the only call of a method in progress, and waits until the server has ended it. With `counted` the server must also
 * count it as cancelled.
 */
export async function cancels(call, server, method, counted = true) {
  const cancelled = async () => (await figure(server, `rides_rpcs_total{method="${nameOf(method)}",code="Cancelled"}`)) ?? 0;
  await untilInProgress(server, method, 1);
  const before = await cancelled();
  call.cancel();
  await untilInProgress(server, method, 0);
  if (counted) await until("the server counts the call as cancelled", async () => (await cancelled()) === before + 1);
}

// Saying what must be.

import { Code, Failure } from "./client.mjs";

export function ok(holds, what) {
  if (!holds) throw new Error(`not so: ${what}`);
}

export function equal(actual, expected, what) {
  if (actual !== expected) throw new Error(`${what}: ${show(actual)} instead of ${show(expected)}`);
}

const show = (value) => JSON.stringify(value, (_, value) => (typeof value === "bigint" ? String(value) : value));

/** Waits for a call to fail with this code and, if one is named, this reason in its ErrorInfo. */
export async function fails(call, code, reason) {
  let failure;
  try {
    await call;
  } catch (error) {
    failure = error;
  }
  if (!(failure instanceof Failure)) throw failure ?? new Error(`it did not fail with code ${code}`);
  equal(failure.code, code, `the code of "${failure.message}"`);
  if (reason) {
    equal(failure.errorInfo?.reason, reason, "ErrorInfo.reason");
    equal(failure.errorInfo.domain, "rides.v1", "ErrorInfo.domain");
  }
  return failure;
}

/** It is the server that says so, in its own words and with the name that its log has for the call, and no library. */
export function saidByServer(failure, words) {
  equal(failure.message, words, "what is said");
  equal(failure.requestInfo?.requestId.length, 32, "the digits of the trace id");
}

/** Makes a call that has no end twice: it ends at its deadline by the library's clock, and by the server's alone. */
export async function endsInTime(call, server, method) {
  await fails(call({ deadlineMs: 400 }), Code.DEADLINE_EXCEEDED);
  await untilInProgress(server, method, 0);
  saidByServer(await fails(call({ serverDeadlineMs: 400 }), Code.DEADLINE_EXCEEDED), "the call's deadline passed");
}

/** Reads a stream to its end and returns what it held. */
export async function all(stream) {
  const messages = [];
  for await (const message of stream) messages.push(message);
  return messages;
}

const LONG = 15_000;
const GLANCE = 20;

/** Waits until something is so, however busy the machine is. */
export async function until(what, holds) {
  for (const end = Date.now() + LONG; !(await holds()); await sleep(GLANCE)) {
    if (Date.now() > end) throw new Error(`never so: ${what}`);
  }
}

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** A figure of a server's /metrics; undefined when it is not there. */
export async function figure(server, name) {
  const lines = (await (await fetch(`${server.url}/metrics`)).text()).split("\n");
  const line = lines.find((line) => line.startsWith(`${name} `));
  return line && Number(line.slice(name.length));
}

/** As a method is named in /metrics. */
const nameOf = (method) => `${method.parent.typeName}/${method.name}`;

/** How many messages of a method's clients a server has taken so far. */
export const received = (server, method) => figure(server, `rides_rpc_messages_received_total{method="${nameOf(method)}"}`);

/** Waits until a server has as many calls of a method in progress. */
export const untilInProgress = (server, method, count) =>
  until(`${count} ${method.name} in progress`, async () => (await figure(server, `rides_open_rpcs{method="${nameOf(method)}"}`)) === count);

/**
 * Cancels the one call of a method that is in progress: the server has no more of it, and counts it as cancelled where it
 * can tell (`counted`).
 */
export async function cancels(call, server, method, counted = true) {
  const cancelled = async () => (await figure(server, `rides_rpcs_total{method="${nameOf(method)}",code="Cancelled"}`)) ?? 0;
  await untilInProgress(server, method, 1);
  const before = await cancelled();
  call.cancel();
  await untilInProgress(server, method, 0);
  if (counted) await until("it is counted", async () => (await cancelled()) === before + 1);
}

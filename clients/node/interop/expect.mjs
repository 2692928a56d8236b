// Saying what must be.

import { Failure } from "./client.mjs";

export function ok(holds, what) {
  if (!holds) throw new Error(`not so: ${what}`);
}

export function equal(actual, expected, what) {
  if (actual !== expected) throw new Error(`${what}: ${show(actual)} instead of ${show(expected)}`);
}

const show = (value) => JSON.stringify(value, (_, value) => (typeof value === "bigint" ? String(value) : value));

/** Waits for a call to fail with this code, or one of these, and, if one is named, this reason in its ErrorInfo. */
export async function fails(call, code, reason) {
  let failure;
  try {
    await call;
  } catch (error) {
    failure = error;
  }
  if (!(failure instanceof Failure)) throw failure ?? new Error(`it did not fail with code ${code}`);
  const codes = [code].flat();
  if (!codes.includes(failure.code)) throw new Error(`the code of "${failure.message}": ${failure.code} instead of ${codes}`);
  if (reason) {
    equal(failure.errorInfo?.reason, reason, "ErrorInfo.reason");
    equal(failure.errorInfo.domain, "rides.v1", "ErrorInfo.domain");
  }
  return failure;
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

/** How many calls of a method a server has in progress, as it says in /metrics. */
export async function inProgress(server, method) {
  const name = `rides_open_rpcs{method="${method.parent.typeName}/${method.name}"} `;
  const figures = await (await fetch(`${server.url}/metrics`)).text();
  const line = figures.split("\n").find((line) => line.startsWith(name));
  return line ? Number(line.slice(name.length)) : 0;
}

/** Waits until a server has as many calls of a method in progress. */
export const untilInProgress = (server, method, count) =>
  until(`${count} ${method.name} in progress`, async () => (await inProgress(server, method)) === count);

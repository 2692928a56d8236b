// The client of curl, which encodes frames itself: a flag, the length in four bytes, the message.

import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { Client, Code, Failure, base64, fromBase64, headersOf, streams } from "../client.mjs";
import { sleep } from "../expect.mjs";

const TRAILERS = 0x80;

function frame(message) {
  const frame = Buffer.alloc(5 + message.length);
  frame.writeUInt32BE(message.length, 1);
  frame.set(message, 5);
  return frame;
}

/** Yields the frames in a stream of bytes, as [flag, content]. */
async function* frames(bytes) {
  let rest = Buffer.alloc(0);
  for await (const chunk of bytes) {
    rest = Buffer.concat([rest, chunk]);
    for (let end; rest.length >= 5 && rest.length >= (end = 5 + rest.readUInt32BE(1)); rest = rest.subarray(end)) {
      yield [rest[0], rest.subarray(5, end)];
    }
  }
  if (rest.length > 0) throw new Error("the answer ends within a frame");
}

/** Makes a call: with `web` gRPC-Web over HTTP/1.1, otherwise gRPC over HTTP/2. */
function call(web, server, method, request, options) {
  const scratch = mkdtempSync(join(tmpdir(), "rides-interop-"));
  const headFile = join(scratch, "head");
  // A single message is sent at once. As an upload, curl may miss a response that arrives before the message is sent.
  const body = streams(method) ? ["--upload-file", "."] : ["--data-binary", "@-"];
  const args = [
    "--silent", "--show-error", "--noproxy", "*", "--no-progress-meter", "--no-buffer", "--dump-header", headFile,
    "--request", "POST", ...body, `${server.url}/${method.parent.typeName}/${method.name}`,
    "--header", `content-type: application/grpc${web ? "-web" : ""}+proto`, "--header", "te: trailers", "--header", "expect:",
    web ? "--http1.1" : server.ca ? "--http2" : "--http2-prior-knowledge",
  ];
  if (server.ca) args.push("--cacert", server.ca);
  if (options.deadlineMs) args.push("--header", `grpc-timeout: ${options.deadlineMs}m`);
  for (const [name, value] of headersOf(options)) {
    args.push("--header", `${name}: ${value instanceof Uint8Array ? base64(value) : value}`);
  }
  const curl = spawn("curl", args, { stdio: ["pipe", "pipe", "pipe"] });
  const said = curl.stderr.setEncoding("utf8").toArray();
  const heads = () => (existsSync(headFile) ? readFileSync(headFile, "utf8") : "");
  const ended = once(curl, "exit").then(([code]) => {
    const last = heads();
    rmSync(scratch, { recursive: true });
    return [code, last];
  });
  send(curl.stdin, method, streams(method) ? request : [request]);
  let trailers;
  // curl uploads until the end of its input, also when it has the response.
  if (streams(method)) endOnce(() => trailers || /^grpc-status:/im.test(heads()), curl);

  async function* messages() {
    try {
      for await (const [flag, content] of frames(curl.stdout)) {
        if (flag & TRAILERS) trailers = content.toString();
        else yield fromBinary(method.output, content);
      }
      const [code, last] = await ended;
      const [, http] = /^HTTP\/\S+ (\d+)/.exec(last) ?? [];
      if (http && http !== "200") throw new Error(`HTTP ${http}: gRPC has its own status`);
      finish(Object.fromEntries((last + (trailers ?? "")).split("\r\n").map(header)), code, (await said).join(""));
    } finally {
      curl.kill();
    }
  }
  return { messages: messages(), cancel: () => curl.kill() };
}

async function send(stdin, method, messages) {
  stdin.on("error", () => {}); // curl has ended. Its response has the reason.
  const when = (event) => new Promise((resolve) => stdin.once(event, resolve));
  const closed = when("close");
  for await (const message of messages) {
    if (stdin.writableEnded || stdin.destroyed) return;
    if (!stdin.write(frame(toBinary(method.input, message)))) {
      await Promise.race([when("drain"), closed]);
    }
  }
  stdin.end();
}

/** Ends curl's input when a condition holds, unless curl ends before. */
async function endOnce(holds, curl) {
  while (curl.exitCode === null && curl.signalCode === null && !holds()) await sleep(20);
  curl.stdin.end();
}

function header(line) {
  const colon = line.indexOf(":");
  return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
}

/** Throws unless the status is OK. */
function finish(headers, exitCode, said) {
  const status = headers["grpc-status"];
  if (status === undefined) throw new Failure(Code.UNAVAILABLE, `curl ended with ${exitCode}: ${said}`);
  const code = Number(status);
  if (code === Code.OK) return;
  const details = headers["grpc-status-details-bin"];
  throw new Failure(code, decodeURIComponent(headers["grpc-message"] ?? ""), details && fromBase64(details));
}

/** The reason why the server cannot see a cancellation. */
const HALF = "over HTTP/1.1 it is a request that breaks off";
const cannot = {
  "servers that fail: one of two stops": "curl uses the first address that accepts",
  "servers that fail: tried again": "curl knows no service config",
  "bidirectional: stops reading": "curl stops sending when its output is not read",
};
const lacks = { "word of a call cancelled": "a killed process reports no status" };

const ofHttp2 = {
  ...cannot,
  "servers that fail: health as it changes": "curl 7 ends its streams at GOAWAY",
};

export const curl = new Client("curl", (...args) => call(false, ...args), ofHttp2, lacks);
export const curlWeb = new Client("curl-web", (...args) => call(true, ...args), cannot, {
  ...lacks,
  "to call off an upload": HALF,
  "to call off streams both ways": HALF,
});

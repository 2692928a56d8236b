// The runner of the checks of clients in Node, and of curl: `node interop/run.mjs SERVERS.json [CLIENT…]`.

import { readFileSync } from "node:fs";
import { bidirectional } from "./checks/bidirectional.mjs";
import { clientStreaming } from "./checks/client-streaming.mjs";
import { failing } from "./checks/failing.mjs";
import { inBrowsers } from "./checks/index.mjs";
import { stopping } from "./checks/stopping.mjs";
import { connectNode, connectNodeWeb } from "./clients/connect-node.mjs";
import { curl, curlWeb } from "./clients/curl.mjs";
import { grpcJs } from "./clients/grpc-js.mjs";
import { run } from "./report.mjs";
import { startServer } from "./server.mjs";

const read = (path) => JSON.parse(readFileSync(path));
const [path, ...only] = process.argv.slice(2);
const servers = read(path);
servers.start = () => startServer(servers);
const list = read(new URL("../../interop.json", import.meta.url));
const checks = { ...inBrowsers, "client streaming": clientStreaming, bidirectional, "servers that fail": { ...stopping, ...failing } };

for (const client of [grpcJs, connectNode, connectNodeWeb, curl, curlWeb]) {
  if (only.length === 0 || only.includes(client.id)) {
    await run(client, list, checks, servers, (line) => process.stdout.write(`${line}\n`));
  }
}
process.exit(); // Open channels would keep the process alive.

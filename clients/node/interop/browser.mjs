// The runner of the checks of clients in a browser: `node interop/browser.mjs SERVERS.json [CLIENT…]`. Serves page.mjs as one
// script.

import { readFileSync } from "node:fs";
import http from "node:http";
import { once } from "node:events";
import { build } from "esbuild";
import { startServer } from "./server.mjs";
import { inPage } from "./webdriver.mjs";

const read = (path) => JSON.parse(readFileSync(path));
const [path, ...only] = process.argv.slice(2);
const servers = read(path);
const list = read(new URL("../../interop.json", import.meta.url));

/** The server that the page has started, for a check that stops it. */
let own;
const page = await servePage(new URL(servers.page).port);
try {
  // A browser's trust is set at its start. The check of an unknown CA needs a browser that does not trust the certificate.
  for (const trusting of [true, false]) {
    const checks = list.checks.filter(({ check }) => (check !== "over TLS, of a CA unknown") === trusting);
    const args = [{ ...list, checks }, servers, only];
    const lines = await inPage(servers, servers.page, "return interop(...arguments)", args, trusting);
    process.stdout.write(lines.map((line) => `${line}\n`).join(""));
  }
} finally {
  await own?.stop();
  page.closeAllConnections();
  page.close();
}

async function servePage(port) {
  const entryPoints = [new URL("page.mjs", import.meta.url).pathname];
  const { outputFiles } = await build({ entryPoints, bundle: true, format: "esm", write: false, logLevel: "warning" });
  const files = {
    "/": ["text/html", `<!doctype html><title>interop</title><script type="module" src="/page.js"></script>`],
    "/page.js": ["text/javascript", outputFiles[0].contents],
  };
  const server = http.createServer(async ({ method, url }, response) => {
    const [type, content] = url === "/server" ? ["application/json", await ofItsOwn(method)] : (files[url] ?? []);
    response.writeHead(type ? 200 : 404, { "content-type": type ?? "text/plain" }).end(content);
  });
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  return server;
}

/** Starts a server for POST, and stops it for DELETE. */
async function ofItsOwn(method) {
  if (method === "POST") own = await startServer(servers);
  else await own.stop();
  return JSON.stringify(own);
}

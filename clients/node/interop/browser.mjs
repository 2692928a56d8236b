// The clients that run in a browser: `node interop/browser.mjs SERVERS.json [CLIENT…]`. It serves page.mjs as one script,
// and drives Chromium through its driver, by WebDriver as it is: HTTP and JSON.

import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import http from "node:http";
import { once } from "node:events";
import { build } from "esbuild";

const read = (path) => JSON.parse(readFileSync(path));
const [path, ...only] = process.argv.slice(2);
const servers = read(path);
const list = read(new URL("../../interop.json", import.meta.url));

const page = await servePage(new URL(servers.page).port);
const driver = await startDriver(servers.chromedriver);
try {
  const lines = await inPage(driver, "return interop(...arguments)", [list, servers, only]);
  process.stdout.write(lines.map((line) => `${line}\n`).join(""));
} finally {
  driver.stop();
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
  const server = http.createServer((request, response) => {
    const [type, content] = files[request.url] ?? [];
    response.writeHead(type ? 200 : 404, { "content-type": type ?? "text/plain" }).end(content);
  });
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  return server;
}

/** chromedriver, on a port that it chooses. */
async function startDriver(program) {
  const driver = spawn(program, ["--port=0"], { stdio: ["ignore", "pipe", "ignore"] });
  const port = await new Promise((resolve, reject) => {
    let said = "";
    driver.on("error", reject).on("exit", () => reject(new Error(`chromedriver ended: ${said}`)));
    driver.stdout.setEncoding("utf8").on("data", (text) => {
      said += text;
      const [, port] = / on port (\d+)\./.exec(said) ?? [];
      if (port) resolve(port);
    });
  });
  return { url: `http://127.0.0.1:${port}`, stop: () => driver.kill() };
}

/** Runs a script in the page, and returns what it returns. */
async function inPage(driver, script, args) {
  const { sessionId } = await ask(driver, "POST", "/session", { capabilities: { alwaysMatch: capabilities() } });
  const session = `/session/${sessionId}`;
  try {
    await ask(driver, "POST", `${session}/timeouts`, { script: 300_000 });
    await ask(driver, "POST", `${session}/url`, { url: servers.page });
    return await ask(driver, "POST", `${session}/execute/sync`, { script, args });
  } finally {
    await ask(driver, "DELETE", session);
  }
}

function capabilities() {
  return {
    browserName: "chrome",
    acceptInsecureCerts: true, // A development CA is trusted by no browser of ours.
    "goog:chromeOptions": {
      binary: servers.chrome,
      args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync"],
    },
  };
}

async function ask(driver, method, path, body) {
  const response = await fetch(driver.url + path, { method, body: body && JSON.stringify(body) });
  const { value } = await response.json();
  if (!response.ok) throw new Error(`${path}: ${value.message}`);
  return value;
}

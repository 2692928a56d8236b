// A page in Chromium, driven with the WebDriver protocol (JSON over HTTP).

import { spawn } from "node:child_process";

/**
 * Runs a script in the page at `url`, and returns its result. `servers` has the paths of Chromium and its driver. With
 * `trusting` the browser accepts any certificate, since it does not know the development CA.
 */
export async function inPage(servers, url, script, args, trusting = true) {
  const driver = await startDriver(servers.chromedriver);
  try {
    return await inSession(driver, capabilities(servers.chrome, trusting), async (session) => {
      await ask(driver, "POST", `${session}/timeouts`, { script: 300_000 });
      await ask(driver, "POST", `${session}/url`, { url });
      return ask(driver, "POST", `${session}/execute/sync`, { script, args });
    });
  } finally {
    driver.stop();
  }
}

async function inSession(driver, alwaysMatch, use) {
  const { sessionId } = await ask(driver, "POST", "/session", { capabilities: { alwaysMatch } });
  const session = `/session/${sessionId}`;
  try {
    return await use(session);
  } finally {
    await ask(driver, "DELETE", session);
  }
}

/**
 * Starts chromedriver on a port that it chooses. It binds a free IPv6 port and then the same IPv4 port, and exits if another
 * program uses that one. Then it is started again.
 */
async function startDriver(program, attempts = 5) {
  try {
    return await startDriverOnce(program);
  } catch (error) {
    if (attempts > 1 && /port not available/.test(error.message)) return startDriver(program, attempts - 1);
    throw error;
  }
}

async function startDriverOnce(program) {
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

function capabilities(chrome, trusting) {
  return {
    browserName: "chrome",
    acceptInsecureCerts: trusting,
    "goog:chromeOptions": {
      binary: chrome,
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

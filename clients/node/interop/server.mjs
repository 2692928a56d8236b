// A separate server, for a check that stops it.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { figure } from "./expect.mjs";

const SERVED = `rides_rpcs_total{method="rides.v1.Rides/Quote",code="Ok"}`;

/** Starts the server, which pages may also call. */
export async function startServer({ program, page }) {
  const flags = ["--listen", "127.0.0.1:0", "--data-dir", ":memory:", "--cars", "0", "--log", "off", "--allow-origin", page];
  const server = spawn(program, flags, { stdio: ["ignore", "pipe", "ignore"] });
  const [line] = await once(server.stdout.setEncoding("utf8"), "data");
  const url = line.trim().split(" ").at(-1).replace(/\/$/, "");
  return {
    address: url.split("//")[1],
    url,
    /** Returns the number of quotes that the server has returned. */
    served: async () => (await figure({ url }, SERVED)) ?? 0,
    async stop() {
      if (server.exitCode !== null || server.signalCode !== null) return;
      const ended = once(server, "exit");
      server.kill();
      await ended;
    },
  };
}

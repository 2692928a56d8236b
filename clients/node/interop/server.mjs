// A server of one's own, for a check that stops it.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { figure } from "./expect.mjs";

const SERVED = `rides_rpcs_total{method="rides.v1.Rides/Quote",code="Ok"}`;

/** Pages may call it, too. */
export async function startServer({ program, page }) {
  const flags = ["--listen", "127.0.0.1:0", "--data-dir", ":memory:", "--cars", "0", "--log", "off", "--allow-origin", page];
  const server = spawn(program, flags, { stdio: ["ignore", "pipe", "ignore"] });
  const [line] = await once(server.stdout.setEncoding("utf8"), "data");
  const url = line.trim().split(" ").at(-1).replace(/\/$/, "");
  return {
    address: url.split("//")[1],
    url,
    /** How many quotes it has answered. */
    served: async () => (await figure({ url }, SERVED)) ?? 0,
    async stop() {
      if (server.exitCode !== null || server.signalCode !== null) return;
      const ended = once(server, "exit");
      server.kill();
      await ended;
    },
  };
}

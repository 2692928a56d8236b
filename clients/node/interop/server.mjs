// A server of one's own, for a check that stops it.

import { spawn } from "node:child_process";
import { once } from "node:events";

export async function startServer(program) {
  const flags = ["--listen", "127.0.0.1:0", "--data-dir", ":memory:", "--cars", "0", "--log", "off"];
  const server = spawn(program, flags, { stdio: ["ignore", "pipe", "ignore"] });
  const [line] = await once(server.stdout.setEncoding("utf8"), "data");
  const address = line.trim().split("//")[1];
  return {
    address,
    url: `http://${address}`,
    /** How many quotes it has answered. */
    async served() {
      const figures = await (await fetch(`http://${address}/metrics`)).text();
      return Number(/^rides_rpcs_total\{method="rides\.v1\.Rides\/Quote",code="Ok"\} (\d+)$/m.exec(figures)?.[1] ?? 0);
    },
    async stop() {
      if (server.exitCode !== null || server.signalCode !== null) return;
      const ended = once(server, "exit");
      server.kill();
      await ended;
    },
  };
}

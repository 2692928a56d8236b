// The check of a server that stops.

import { Health, HealthCheckResponse_ServingStatus as Serving } from "../../gen/health/v1/health_pb.js";
import { Code } from "../client.mjs";
import { all, equal, fails } from "../expect.mjs";

export const stopping = {
  "health as it changes": async (client, { start }) => {
    const server = await start();
    try {
      const health = client.open(server, Health.method.watch, { service: "rides.v1.Rides" });
      equal((await health.next()).status, Serving.SERVING, "the first status");
      const [next] = await Promise.all([health.next(), server.stop()]);
      equal(next.status, Serving.NOT_SERVING, "the second status");
      const failure = await fails(all(health), Code.UNAVAILABLE);
      equal(failure.retryInfo.retryDelay.seconds, 1n, "RetryInfo");
    } finally {
      await server.stop();
    }
  },
};

// Two addresses behind one name, and one of them stops. Node only: it starts the servers.

import { Rides } from "../../gen/rides/v1/rides_pb.js";
import { equal, ok, until } from "../expect.mjs";
import { startServer } from "../server.mjs";
import { HARBOUR, SQUARE } from "./places.mjs";
import { ROUND_ROBIN } from "../../channel.mjs";

export const balancing = {
  "one of two servers stops": async (client, { program }) => {
    const pair = await Promise.all([startServer(program), startServer(program)]);
    try {
      const both = {
        url: "both",
        address: `ipv4:${pair.map(({ address }) => address).join(",")}`,
        options: { "grpc.service_config": ROUND_ROBIN },
      };
      const quote = () => client.ask(both, Rides.method.quote, { pickup: SQUARE, dropoff: HARBOUR }, { deadlineMs: 10_000 });
      await until("both have calls", async () => {
        await quote();
        return (await Promise.all(pair.map((server) => server.served()))).every((served) => served > 0);
      });
      await pair[0].stop();
      const before = await pair[1].served();
      for (let n = 0; n < 20; n++) ok((await quote()).fare, "it is answered");
      equal(await pair[1].served(), before + 20, "calls that the other answered");
    } finally {
      await Promise.all(pair.map((server) => server.stop()));
    }
  },
};

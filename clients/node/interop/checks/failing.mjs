// The checks of two servers of which one stops, and of servers that are unavailable for a while. Only in Node, with grpc-js.

import { create, toBinary } from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import grpc from "@grpc/grpc-js";
import { RETRIES, ROUND_ROBIN, api, ask, connect } from "../../channel.mjs";
import { RetryInfoSchema, StatusSchema } from "../../gen/google/rpc/details_pb.js";
import { Rides } from "../../gen/rides/v1/rides_pb.js";
import { Code } from "../client.mjs";
import { equal, fails, ok, until } from "../expect.mjs";
import { HARBOUR, SQUARE } from "./places.mjs";

const TRIP = { pickup: SQUARE, dropoff: HARBOUR };
const TERMS = { deadlineMs: 10_000 };
const { quote } = Rides.method;

export const failing = {
  "one of two stops": async (client, { start }) => {
    const pair = await Promise.all([start(), start()]);
    try {
      const both = {
        url: "both",
        address: `ipv4:${pair.map(({ address }) => address).join(",")}`,
        options: { "grpc.service_config": ROUND_ROBIN },
      };
      await until("both servers have calls", async () => {
        await client.ask(both, quote, TRIP, TERMS);
        return (await Promise.all(pair.map((server) => server.served()))).every((served) => served > 0);
      });
      await pair[0].stop();
      const before = await pair[1].served();
      for (let n = 0; n < 20; n++) ok((await client.ask(both, quote, TRIP, TERMS)).fare, "the response has a fare");
      await until("the other server has handled all calls", async () => (await pair[1].served()) === before + 20);
    } finally {
      await Promise.all(pair.map((server) => server.stop()));
    }
  },

  "tried again": async (client, { open }) => {
    const front = await startReluctant(open, 3);
    try {
      await fails(client.ask({ url: "once", address: front.address }, quote, TRIP, TERMS), Code.UNAVAILABLE);
      const again = { url: "again", address: front.address, options: { "grpc.service_config": RETRIES } };
      ok((await client.ask(again, quote, TRIP, TERMS)).fare, "the response has a fare");
      equal(front.attempts.join(), "0,0,1,2", "earlier attempts of each call");
    } finally {
      front.stop();
    }
  },
};

/** Starts a proxy in front of a server that refuses the first calls. `attempts` has the earlier attempts of each call. */
async function startReluctant({ address }, refusals) {
  const rides = connect(api.Rides, { server: address });
  const attempts = [];
  const front = new grpc.Server();
  front.addService(api.Rides.service, {
    quote({ request, metadata }, answer) {
      attempts.push(Number(metadata.get("grpc-previous-rpc-attempts")[0] ?? 0));
      if (attempts.length <= refusals) answer(notYet());
      else ask(rides, "quote", request).then((quote) => answer(null, quote), answer);
    },
  });
  const port = await new Promise((resolve, reject) => {
    const bound = (error, port) => (error ? reject(error) : resolve(port));
    front.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), bound);
  });
  return { address: `127.0.0.1:${port}`, attempts, stop: () => front.forceShutdown() };
}

/** The status of a Rides server during shutdown. */
function notYet() {
  const retry = anyPack(RetryInfoSchema, create(RetryInfoSchema, { retryDelay: { seconds: 1n } }));
  const status = create(StatusSchema, { code: Code.UNAVAILABLE, message: "not yet", details: [retry] });
  const metadata = new grpc.Metadata();
  metadata.set("grpc-status-details-bin", Buffer.from(toBinary(StatusSchema, status)));
  return { code: grpc.status.UNAVAILABLE, details: "not yet", metadata };
}

// Every check that runs in a browser too, by kind and name as in clients/interop.json.

import { serverStreaming } from "./server-streaming.mjs";
import { stopping } from "./stopping.mjs";
import { unary } from "./unary.mjs";

export const inBrowsers = { unary, "server streaming": serverStreaming, "servers that fail": stopping };

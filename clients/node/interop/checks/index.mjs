// The checks that also run in a browser, by kind and name as in clients/interop.json.

import { serverStreaming } from "./server-streaming.mjs";
import { stopping } from "./stopping.mjs";
import { unary } from "./unary.mjs";

export const inBrowsers = { unary, "server streaming": serverStreaming, "servers that fail": stopping };

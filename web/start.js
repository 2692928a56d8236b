// Starts the page's program. If it does not start, or stops, the page says so in words.
const paint = document.getElementById("first-paint");
const root = document.documentElement;
root.dataset.base = new URL(root.dataset.base ?? "./", location).href;
const address = (rel) => document.querySelector(`link[rel=${rel}]`).href;

const say = (words) => {
  paint.dataset.failed = "";
  const why = paint.querySelector("#first-paint-why");
  why.setAttribute("role", "alert");
  why.textContent = words;
  document.body.replaceChildren(paint);
};

// After a panic parts of the program may still run, and what they show may be wrong.
const stopped = (error) => {
  if (!/wasm/.test(error?.stack)) return;
  say("This page has stopped because of a fault in its program. What it showed may not be true any more.");
  globalThis.requestAnimationFrame = globalThis.fetch = () => new Promise(() => {});
  stop();
};
addEventListener("error", (event) => stopped(event.error));
addEventListener("unhandledrejection", (event) => stopped(event.reason));

// When a focused element is removed, for example a pressed button, the browser moves the focus to the body. Instead, the
// focus goes to the first control in the nearest remaining ancestor, or to that ancestor.
let path = [];
addEventListener("focusin", (event) => (path = event.composedPath()));
addEventListener("focusout", ({ target }) =>
  queueMicrotask(() => {
    if (path[0] === target && target.isConnected) path = [];
  }),
);
new MutationObserver(() => {
  if (document.activeElement !== document.body || path[0]?.isConnected !== false) return;
  const near = path.find((node) => node.isConnected);
  path = [];
  const controls = [...near.querySelectorAll("button:enabled, a, [tabindex]")];
  const next = controls.find((control) => control.getClientRects().length) ?? near;
  if (next === near) near.tabIndex = -1;
  next.focus();
}).observe(document.body, { childList: true, subtree: true });

// A browser that translates the page replaces text nodes by <font> elements, and the program would write into nodes that
// are no longer in the document (https://github.com/facebook/react/issues/11538). So a text node is put back into its place
// before it changes. The browser then translates it again.
const places = new WeakMap();
const used = new WeakSet();
new MutationObserver((records) => {
  for (const { addedNodes, removedNodes, previousSibling, nextSibling } of records)
    for (const text of removedNodes) {
      if (text.nodeType !== Node.TEXT_NODE) continue;
      const isPlace = (node) => node?.nodeName === "FONT" && !used.has(node);
      const place = [addedNodes[0], previousSibling, nextSibling].find(isPlace);
      if (!place) continue;
      places.set(text, place);
      used.add(place);
    }
}).observe(root, { childList: true, subtree: true });
const putBack = (node) => {
  if (node && !node.parentNode) places.get(node)?.replaceWith(node);
};
Object.defineProperty(Text.prototype, "nodeValue", {
  get() {
    return this.data;
  },
  set(text) {
    putBack(this);
    this.data = text;
  },
});
const { remove } = CharacterData.prototype;
Text.prototype.remove = function () {
  putBack(this);
  remove.call(this);
};
const { insertBefore } = Node.prototype;
Node.prototype.insertBefore = function (node, next) {
  putBack(next);
  return insertBefore.call(this, node, next);
};

// Over HTTP/1.1 all windows of the page share six connections. If streams used all of them, every further window would stay
// blank. So the visible windows count their streams: two in a window that follows a ride, and one in any other. The oldest
// windows keep at most four streams together, and the others make short calls.
const shareConnections = () => {
  const windows = new BroadcastChannel("rides");
  const born = performance.timeOrigin;
  const older = new Map();
  const streams = () => (document.querySelector("[data-testid=ride-state]") ? 2 : 1);
  // A reply reaches every window, also those that did not ask.
  windows.onmessage = ({ data }) => {
    if (data[0] < born) older.set(...data);
    else if (data === "count" && !document.hidden) windows.postMessage([born, streams()]);
  };
  const count = () => {
    older.clear();
    windows.postMessage("count");
    setTimeout(() => {
      const isHttp2 = performance.getEntries().some((entry) => /^h[23]/.test(entry.nextHopProtocol));
      const held = [...older.values()].reduce((sum, streams) => sum + streams, 0);
      root.toggleAttribute("data-crowded", held > 0 && held + streams() > 4 && !isHttp2);
      dispatchEvent(new Event("crowd"));
    }, 200);
  };
  count();
  setInterval(count, 5000);
};
if (globalThis.BroadcastChannel) shareConnections();

const start = async () => {
  if (!globalThis.WebAssembly)
    return say("This browser has no WebAssembly, or a setting switches it off. This page needs it.");
  try {
    const [program, response] = await Promise.all([import(address("modulepreload")), fetch(address("preload"))]);
    const type = response.headers.get("content-type") ?? "";
    if (!response.ok || type.startsWith("text/html"))
      return say(`Something else came in the place of the page's program (HTTP ${response.status}).`);
    await program.default({ module_or_path: response });
  } catch (error) {
    console.error(error);
    if (error instanceof WebAssembly.RuntimeError) stopped(error);
    else if (/policy|embedder|unsafe-eval/i.test(error.message))
      say("A security policy forbids WebAssembly on this page. Something on the way may have changed it.");
    else if (error instanceof WebAssembly.CompileError)
      say("The page's program came damaged or cut short, or this browser is too old for it.");
    else say("A part of the page could not be loaded. The network, or something on the way, broke it off.");
  }
};
start();

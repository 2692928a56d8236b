// Runs a client through the list, and says how each check went: one line of JSON each.

/** `list` is clients/interop.json, `checks` the code by kind and name, `say` takes a line. */
export async function run(client, list, checks, servers, say) {
  for (const { kind, check, only } of list.checks) {
    if (only?.includes(client.id) === false) continue;
    say(JSON.stringify({ client: client.id, kind, check, ...(await outcome(client, kind, check, checks, servers)) }));
  }
}

/** A million positions, one message each, take a busy machine more than a minute. */
const PATIENCE = 180_000;

async function outcome(client, kind, check, checks, servers) {
  const skipped = client.skips(kind, check);
  if (skipped) return { result: "skip", text: skipped };
  const begun = Date.now();
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not done within ${PATIENCE / 1000} s`)), PATIENCE);
  });
  try {
    const { [check]: carryOut = () => { throw new Error("nobody has written it"); } } = checks[kind] ?? {};
    await Promise.race([carryOut(client, servers), late]);
    return { result: "pass", ms: Date.now() - begun };
  } catch (error) {
    return { result: "fail", text: String(error?.stack ?? error) };
  } finally {
    clearTimeout(timer);
  }
}

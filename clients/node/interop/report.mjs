// The runner of the checks of one client. It reports one line of JSON per check.

/** Runs the checks. `list` is clients/interop.json, `checks` has the code by kind and name, and `say` gets each line. */
export async function run(client, list, checks, servers, say) {
  for (const { kind, check, only } of list.checks) {
    if (only?.includes(client.id) === false) continue;
    say(JSON.stringify({ client: client.id, kind, check, ...(await outcome(client, kind, check, checks, servers)) }));
  }
}

/** The time limit of a check. A million positions, one message each, take a busy machine more than a minute. */
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
    const { [check]: carryOut = () => { throw new Error("this check is not implemented"); } } = checks[kind] ?? {};
    await Promise.race([carryOut(client, servers), late]);
    return { result: "pass", ms: Date.now() - begun };
  } catch (error) {
    return { result: "fail", text: String(error?.stack ?? error) };
  } finally {
    clearTimeout(timer);
  }
}

/** Waiting in tests: always for a condition, with a bound that only a broken program reaches. */

export async function pause(milliseconds: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, milliseconds));
}

/** Waits for `condition`, looking every 20 ms. Throws after `timeoutMs` (default 30 000). */
export async function until(
  condition: () => boolean | Promise<boolean>,
  what: string,
  timeoutMs = 30_000,
): Promise<void> {
  const attempts = Math.ceil(timeoutMs / 20);
  for (let attempt = 0; attempt < attempts; attempt += 1) {
    if (await condition()) return;
    await pause(20);
  }
  throw new Error(`never happened: ${what}`);
}

/** A line of the gateway's access log, shorter: what is the same in all of them is left out. */

interface Access {
  status?: number;
  method?: string;
  path?: string;
  duration_ms?: number;
  caller?: string | null;
  revision?: string | null;
  details?: string;
  flags?: string;
}

export function accessOf(text: string): string {
  let line: Access;
  try {
    line = JSON.parse(text) as Access;
  } catch {
    return text;
  }
  const words = [line.status, line.method, line.path, `${line.duration_ms ?? "–"} ms`, line.caller ?? "no token"];
  // The gateway's own word for what went wrong; "-" where nothing did.
  if (line.flags && line.flags !== "-") words.push(`${line.flags} ${line.details ?? ""}`.trim());
  return words.join("  ");
}

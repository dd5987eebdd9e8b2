/** Asks the control API. A refusal is thrown as a Problem, with the field that it is about where there is one. */

export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly reason: string,
    message: string,
    readonly hint: string,
    readonly fields: Record<string, string>,
    /** Where in a text the wrong part stands, by field. */
    readonly places: Record<string, [number, number]> = {},
  ) {
    super(message);
  }
}

export interface Asked {
  query?: Record<string, string | number | boolean | null | undefined>;
  body?: unknown;
  /** A body as it is, with its content type. */
  raw?: { text: string; type: string };
}

export function urlOf(path: string, query: Asked["query"] = {}): string {
  const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== "");
  const text = new URLSearchParams(given.map(([key, value]) => [key, String(value)])).toString();
  return `/api/v1${path}${text ? `?${text}` : ""}`;
}

export async function send<T>(method: string, path: string, asked: Asked = {}): Promise<T> {
  const headers: Record<string, string> = {};
  let body: string | undefined;
  if (asked.raw) {
    headers["Content-Type"] = asked.raw.type;
    body = asked.raw.text;
  } else if (asked.body !== undefined) {
    headers["Content-Type"] = "application/json";
    body = JSON.stringify(asked.body);
  }
  let answer: Response;
  try {
    answer = await fetch(urlOf(path, asked.query), { method, headers, body });
  } catch {
    throw new Problem(0, "Unreachable", "Taxiway does not answer.", "It is tried again by itself.", {});
  }
  if (!answer.ok) throw await problemOf(answer);
  if (answer.status === 204) return undefined as T;
  return (await answer.json()) as T;
}

export const get = <T>(path: string, query?: Asked["query"]) => send<T>("GET", path, { query });

interface ProblemDocument {
  reason?: string;
  detail?: string;
  message?: string;
  hint?: string;
  errors?: { pointer?: string; detail?: string; begins?: number | null; ends?: number | null }[];
}

async function problemOf(answer: Response): Promise<Problem> {
  const found: ProblemDocument = await answer.json().catch(() => ({}));
  const fields: Record<string, string> = {};
  const places: Record<string, [number, number]> = {};
  for (const error of found.errors ?? []) {
    const field = error.pointer?.replace(/^\//, "");
    if (field && error.detail) fields[field] = error.detail;
    if (field && error.begins != null && error.ends != null) places[field] = [error.begins, error.ends];
  }
  const message = found.message ?? found.detail ?? `Taxiway answered ${answer.status}.`;
  return new Problem(answer.status, found.reason ?? "Unknown", message, found.hint ?? "", fields, places);
}

/** Percent-encodes a part of a path. */
export const part = (text: string | number) => encodeURIComponent(String(text));

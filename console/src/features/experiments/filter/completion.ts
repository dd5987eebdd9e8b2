/** What could stand where somebody types in a filter: a name, how it is compared, a value, `and`. */
import type { Run } from "../../../api/types";
import { quoted } from "../columns";
import { type Token, tokensOf } from "./tokens";

export interface Known {
  names: string[];
  /** Values that were seen, by name; as they stand in a filter. */
  values: Record<string, string[]>;
}

export interface Completions {
  /** What a choice takes the place of. */
  begin: number;
  end: number;
  what: "Names" | "Comparisons" | "Values seen" | "";
  items: string[];
}

const MOST_ITEMS = 50;
const MOST_VALUES = 200;
const NUMBERS = ["=", "!=", "<", "<=", ">", ">="];
const MAY_BE_MISSING = ["=", "!=", "LIKE", "ILIKE", "IS NULL", "IS NOT NULL"];
const TEXTS = ["=", "!=", "LIKE", "ILIKE"];
const ATTRIBUTES = ["run_name", "status", "start_time", "end_time", "user_id", "run_id", "artifact_uri"];
const DATASETS = ["name", "digest", "context"];
const STATES = ["RUNNING", "SCHEDULED", "FINISHED", "FAILED", "KILLED"];

/** Writes a text as a filter does; one with both quotation marks cannot be written. */
export const text = (value: string) =>
  value.includes("'") ? (value.includes('"') ? null : `"${value}"`) : `'${value}'`;

/** What the runs of an experiment are called by. */
export function knownOf(runs: Run[]): Known {
  const metrics = new Set<string>();
  const values = new Map<string, Set<string>>();
  const see = (name: string, value: string) => {
    const seen = values.get(name) ?? new Set();
    const written = value.length > 80 ? null : text(value);
    if (written && seen.size < MOST_VALUES) seen.add(written);
    values.set(name, seen);
  };
  for (const state of STATES) see("attributes.status", state);
  for (const run of runs) {
    for (const name of Object.keys(run.metrics)) metrics.add(`metrics.${quoted(name)}`);
    for (const [name, value] of Object.entries(run.parameters)) see(`params.${quoted(name)}`, value);
    for (const [name, value] of Object.entries(run.tags)) see(`tags.${quoted(name)}`, value);
    if (run.name) see("attributes.run_name", run.name);
    if (run.user) see("attributes.user_id", run.user);
  }
  const seen = [...values.keys()];
  const of = (prefix: string) => seen.filter((name) => name.startsWith(prefix)).sort();
  return {
    names: [
      ...[...metrics].sort(),
      ...of("params."),
      ...ATTRIBUTES.map((name) => `attributes.${name}`),
      ...of("tags."),
      ...DATASETS.map((name) => `datasets.${name}`),
    ],
    values: Object.fromEntries([...values].map(([name, some]) => [name, [...some].sort()])),
  };
}

export function comparisonsOf(name: string): string[] {
  if (/^metrics?\./.test(name) || /^(attributes?\.|attr\.|run\.)?(start_time|end_time)$/.test(name)) return NUMBERS;
  if (/^(params?|parameters?|tags?)\./.test(name)) return MAY_BE_MISSING;
  return /(^|\.)run_id$/.test(name) || name.startsWith("dataset") ? [...TEXTS, "IN", "NOT IN"] : TEXTS;
}

type Expected = "name" | "operator" | "value" | "list" | "joint";

/** What comes after these tokens, and the name that is being compared. */
export function expectedAfter(tokens: Token[]): { expected: Expected; name: string } {
  let expected: Expected = "name";
  let name = "";
  for (const token of tokens) {
    if (token.kind === "space") continue;
    if (token.kind === "joint") expected = "name";
    else if (token.kind === "name" && expected === "name") {
      name = token.text;
      expected = "operator";
    } else if (token.kind === "operator") expected = /null$/i.test(token.text) ? "joint" : "value";
    else if (token.text === "(") expected = "list";
    else if (token.text === ")") expected = "joint";
    else if (token.kind === "value" && expected !== "list") expected = "joint";
  }
  return { expected, name };
}

const plain = (word: string) => word.replaceAll(/['"`]/g, "").toLowerCase();

export function completionsAt(filter: string, cursor: number, known: Known): Completions {
  const tokens = tokensOf(filter);
  const under = tokens.find((token) => token.begin < cursor && cursor <= token.end && token.kind !== "space");
  // Right behind a sign of comparison or of a list something new begins.
  const isNew = !under || (/^[!=<>(),]+$/.test(under.text) && under.end === cursor);
  const begin = isNew ? cursor : under.begin;
  const end = isNew ? cursor : under.end;
  const { expected, name } = expectedAfter(tokens.filter((token) => token.end <= begin));
  const typed = plain(filter.slice(begin, cursor));
  const choose = (what: Completions["what"], from: string[]): Completions => {
    const fitting = from.filter((item) => plain(item).includes(typed) && item !== filter.slice(begin, end));
    const first = fitting.filter((item) => plain(item).startsWith(typed));
    return {
      begin,
      end,
      what,
      items: [...first, ...fitting.filter((item) => !first.includes(item))].slice(0, MOST_ITEMS),
    };
  };
  if (expected === "name") return choose("Names", known.names);
  if (expected === "operator") return choose("Comparisons", comparisonsOf(name));
  if (expected === "joint") return choose("", ["and"]);
  return choose("Values seen", known.values[name] ?? []);
}

/** Puts a choice into the filter, with a space behind it; tells where the cursor is then. */
export function complete(filter: string, of: Completions, item: string): { filter: string; cursor: number } {
  const needsSpace = of.what === "Comparisons" && /\S$/.test(filter.slice(0, of.begin));
  const rest = filter.slice(of.end).replace(/^ /, "");
  const before = `${filter.slice(0, of.begin)}${needsSpace ? " " : ""}${item} `;
  return { filter: before + rest, cursor: before.length };
}

/** What the dialog is about to do, as a command and as Python: the same request, nothing left out. */
import type { Schema } from "../../api/types";
import { call, python, shell } from "../../parts/saying";

export type Wanted = Pick<
  Schema<"ConversionIn">,
  "model" | "logged_model" | "memory" | "cpus" | "needs_token" | "tags"
>;

export function asCommand(run: string, project: string, wanted: Wanted): string {
  const words = ["taxiway model convert", shell(run), "--project", shell(project), "--name", shell(wanted.model)];
  if (wanted.logged_model) words.push("--logged-model", shell(wanted.logged_model));
  if (wanted.memory) words.push("--memory", shell(wanted.memory));
  if (wanted.cpus) words.push("--cpus", shell(wanted.cpus));
  for (const [name, value] of Object.entries(wanted.tags ?? {})) words.push("--tag", shell(`${name}=${value}`));
  if (wanted.needs_token === false) words.push("--open");
  return words.join(" ");
}

export function asPython(run: string, project: string, wanted: Wanted): string {
  const given = {
    model: python(wanted.model),
    logged_model: wanted.logged_model ? python(wanted.logged_model) : undefined,
    memory: wanted.memory ? python(wanted.memory) : undefined,
    cpus: wanted.cpus ? python(wanted.cpus) : undefined,
    needs_token: wanted.needs_token === false ? python(false) : undefined,
    tags: Object.keys(wanted.tags ?? {}).length ? python(wanted.tags) : undefined,
  };
  return [
    "from taxiway import Client",
    "from taxiway.wire.models import ConversionIn",
    "",
    `wanted = ${call("ConversionIn", given)}`,
    "with Client() as client:",
    `    client.convert(${python(run)}, wanted, project=${python(project)})`,
  ].join("\n");
}

/** Reads `team=risk` words; what is no such word is returned apart, to be told. */
export function readTags(words: string[]): { tags: Record<string, string>; wrong: string[] } {
  const tags: Record<string, string> = {};
  const wrong: string[] = [];
  for (const word of words) {
    const at = word.indexOf("=");
    if (at > 0) tags[word.slice(0, at)] = word.slice(at + 1);
    else wrong.push(word);
  }
  return { tags, wrong };
}

/** What the dialog is about to do, as a command and as Python: the same request, nothing left out. */
import type { Schema } from "../../api/types";

export type Wanted = Pick<
  Schema<"ConversionIn">,
  "model" | "logged_model" | "memory" | "cpus" | "needs_token" | "tags"
>;

/** Quotes a word for a shell where it needs that. */
export const shell = (word: string) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`);

/** Writes a text as Python does; JSON's form of it is Python's as well. */
const python = (text: string) => JSON.stringify(text);

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
  const tags = Object.entries(wanted.tags ?? {});
  const given = [
    `model=${python(wanted.model)}`,
    ...(wanted.logged_model ? [`logged_model=${python(wanted.logged_model)}`] : []),
    ...(wanted.memory ? [`memory=${python(wanted.memory)}`] : []),
    ...(wanted.cpus ? [`cpus=${python(wanted.cpus)}`] : []),
    ...(wanted.needs_token === false ? ["needs_token=False"] : []),
    ...(tags.length ? [`tags={${tags.map(([name, value]) => `${python(name)}: ${python(value)}`).join(", ")}}`] : []),
  ];
  return [
    "from taxiway import Client",
    "from taxiway.wire.models import ConversionIn",
    "",
    `wanted = ConversionIn(${given.join(", ")})`,
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

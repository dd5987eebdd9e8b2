/** What a dialog is about to do, in the words of other languages. */

/** Quotes a word for a shell where it needs that. */
export const shell = (word: string) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`);

/** Writes a JSON value as Python does. */
export function python(value: unknown): string {
  if (value === null || value === undefined) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (Array.isArray(value)) return `[${value.map(python).join(", ")}]`;
  if (typeof value === "object")
    return `{${Object.entries(value)
      .map(([key, each]) => `${python(key)}: ${python(each)}`)
      .join(", ")}}`;
  return JSON.stringify(value); // of a text and of a number, JSON's form is Python's as well
}

/** Writes a call with keywords; the values are Python already, and what is undefined is left out. */
export const call = (name: string, given: Record<string, string | undefined>) =>
  `${name}(${Object.entries(given)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => `${key}=${value}`)
    .join(", ")})`;

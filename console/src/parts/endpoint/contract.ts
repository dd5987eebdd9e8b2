/** What an endpoint's own OpenAPI document says of it: its columns and its input example. */

export interface Field {
  name: string;
  kind: "number" | "integer" | "boolean" | "string" | "other";
  isRequired: boolean;
}

export interface Contract {
  fields: Field[];
  /** The body of the input example; null where the model has none. */
  example: Record<string, unknown> | null;
  /** The rows of the example, by column; empty where it has no columns. */
  rows: Record<string, unknown>[];
}

type Json = Record<string, unknown>;
const inside = (value: unknown, ...path: (string | number)[]): unknown =>
  path.reduce<unknown>((found, key) => (found as Json | undefined)?.[key as string], value);

export function contractOf(document: unknown): Contract {
  const body = inside(document, "paths", "/invocations", "post", "requestBody", "content", "application/json");
  const example = (inside(body, "example") as Json | undefined) ?? null;
  const forms = (inside(body, "schema", "oneOf") as Json[] | undefined) ?? [];
  const items = inside(
    forms.find((form) => form.title === "dataframe_records"),
    "properties",
    "dataframe_records",
    "items",
  );
  const properties = (inside(items, "properties") as Record<string, Json> | undefined) ?? {};
  const required = new Set((inside(items, "required") as string[] | undefined) ?? []);
  const fields = Object.entries(properties).map(([name, schema]) => ({
    name,
    kind: kindOf(schema),
    isRequired: required.has(name),
  }));
  return { fields, example, rows: rowsOf(example) };
}

function kindOf(schema: Json): Field["kind"] {
  const kinds = ([] as unknown[]).concat(schema.type ?? []).filter((kind) => kind !== "null");
  const kind = kinds.length === 1 ? kinds[0] : undefined;
  return kind === "number" || kind === "integer" || kind === "boolean" || kind === "string" ? kind : "other";
}

function rowsOf(example: Json | null): Record<string, unknown>[] {
  const records = example?.dataframe_records;
  if (Array.isArray(records)) return records as Record<string, unknown>[];
  const split = example?.dataframe_split as { columns?: string[]; data?: unknown[][] } | undefined;
  if (!split?.data) return [];
  return split.data.map((row) =>
    Object.fromEntries(row.map((value, at) => [split.columns?.[at] ?? String(at), value])),
  );
}

/** Reads what was typed for a column; an empty text is a missing value. */
export function readValue(text: string, kind: Field["kind"]): unknown {
  if (text === "") return null;
  if (kind === "number" || kind === "integer") {
    const value = Number(text);
    return Number.isNaN(value) ? text : value;
  }
  if (kind === "boolean") return text === "true" ? true : text === "false" ? false : text;
  if (kind === "other") {
    try {
      return JSON.parse(text);
    } catch {
      return text;
    }
  }
  return text;
}

export interface Refusal {
  message: string;
  hint: string;
  /** The column that it is about; "" where it is about none, or about the whole body. */
  column: string;
}

/** Why an endpoint refused a request. */
export function refusalOf(body: string): Refusal {
  try {
    const found = JSON.parse(body) as Record<string, unknown>;
    const said = (name: string) => (typeof found[name] === "string" ? (found[name] as string) : "");
    return { message: said("message") || said("detail") || body, hint: said("hint"), column: said("column") };
  } catch {
    return { message: body.slice(0, 300), hint: "", column: "" };
  }
}

/** The predictions of an answer as rows of named cells. */
export function tableOf(body: string): { columns: string[]; rows: string[][] } | null {
  let predictions: unknown;
  try {
    predictions = (JSON.parse(body) as { predictions?: unknown }).predictions;
  } catch {
    return null;
  }
  if (Array.isArray(predictions)) {
    const first = predictions[0];
    if (first !== null && typeof first === "object" && !Array.isArray(first)) {
      const columns = Object.keys(first);
      return { columns, rows: predictions.map((row) => columns.map((name) => said((row as Json)[name]))) };
    }
    if (Array.isArray(first)) {
      return {
        columns: first.map((_, at) => String(at)),
        rows: predictions.map((row) => (row as unknown[]).map(said)),
      };
    }
    return { columns: ["prediction"], rows: predictions.map((value) => [said(value)]) };
  }
  if (predictions !== null && typeof predictions === "object") {
    const columns = Object.keys(predictions);
    const lists = columns
      .map((name) => (predictions as Record<string, unknown>)[name])
      .map((value) => (Array.isArray(value) ? value : [value]));
    return { columns, rows: (lists[0] ?? []).map((_, row) => lists.map((list) => said(list[row]))) };
  }
  return null;
}

const said = (value: unknown) => (typeof value === "string" ? value : JSON.stringify(value));

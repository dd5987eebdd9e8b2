import { expect, it } from "vitest";
import type { Run } from "../../api/types";
import { slugOf } from "./Convert";
import { columnsOf, groupsOf, quoted, whereOf } from "./columns";
import { numberOf } from "./Plots";

const run = {
  id: "1",
  name: "a",
  parameters: { trees: "200", kind: "x" },
  metrics: { "val/auc": 0.5 },
  tags: {},
  user: "ada",
  started_at: null,
  ended_at: null,
} as unknown as Run;

it("a runs table has a column for every metric and parameter of any run", () => {
  const other = { ...run, parameters: { depth: "3" }, metrics: {} } as Run;
  expect(columnsOf([run, other]).map((column) => column.key)).toEqual([
    "started",
    "duration",
    "user",
    "metrics.val/auc",
    "params.depth",
    "params.kind",
    "params.trees",
  ]);
});

it("names are quoted as MLflow's filter language wants them", () => {
  expect(quoted("auc")).toBe("auc");
  expect(quoted("val/auc")).toBe("`val/auc`");
});

it("numbers are read from metrics and from parameters that are numbers", () => {
  expect(numberOf(run, "metrics.val/auc")).toBe(0.5);
  expect(numberOf(run, "params.trees")).toBe(200);
  expect(numberOf(run, "params.kind")).toBeNull();
});

it("a run's name becomes a name that can stand in an address", () => {
  expect(slugOf("Fraud Model (v2)!")).toBe("fraud-model-v2");
  expect(slugOf(`${"a".repeat(39)} b`)).toBe("a".repeat(39));
});

it("a heading is as wide as its columns, and none stands over nothing", () => {
  const columns = columnsOf([{ ...run, parameters: {} } as Run]);
  expect(groupsOf(columns, 100)).toEqual([
    { label: "META DATA", width: 100 + 110 + 96 + 100 },
    { label: "METRICS", width: 118 },
  ]);
});

it("a chosen state is asked for beside what was typed", () => {
  expect(whereOf("", "")).toBe("");
  expect(whereOf("", "FAILED")).toBe("attributes.status = 'FAILED'");
  expect(whereOf(" metrics.auc > 1 ", "FAILED")).toBe("metrics.auc > 1 and attributes.status = 'FAILED'");
});

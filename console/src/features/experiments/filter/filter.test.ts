import { describe, expect, it } from "vitest";
import type { Run } from "../../../api/types";
import { complete, completionsAt, expectedAfter, knownOf } from "./completion";
import { tokensOf } from "./tokens";

const kinds = (filter: string) =>
  tokensOf(filter)
    .filter((token) => token.kind !== "space")
    .map((token) => `${token.kind}:${token.text}`);

const run = (of: Partial<Run>): Run =>
  ({ id: "1", name: "", user: "", parameters: {}, metrics: {}, tags: {}, ...of }) as Run;

const KNOWN = knownOf([
  run({ name: "first", metrics: { auc: 0.9, "val/auc": 0.8 }, parameters: { trees: "200", depth: "3" } }),
  run({ name: "o'clock", metrics: { loss: 1 }, parameters: { trees: "100" }, tags: { "mlflow.user": "ada" } }),
]);

const at = (marked: string) => completionsAt(marked.replace("|", ""), marked.indexOf("|"), KNOWN);

describe("tokens", () => {
  it("are names, comparisons, values and joints", () => {
    expect(kinds("metrics.auc >= -1.5e3 AND params.`a b` != 'x''")).toEqual([
      "name:metrics.auc",
      "operator:>=",
      "value:-1.5e3",
      "joint:AND",
      "name:params.`a b`",
      "operator:!=",
      "value:'x'",
      "value:'",
    ]);
    expect(kinds('tags."a.b" is  not null and run_id NOT IN (\'1\', "2")')).toEqual([
      'name:tags."a.b"',
      "operator:is  not null",
      "joint:and",
      "name:run_id",
      "operator:NOT IN",
      "list:(",
      "value:'1'",
      "list:,",
      'value:"2"',
      "list:)",
    ]);
    expect(kinds("params.android like_this and.x")).toEqual(["name:params.android", "name:like_this", "name:and.x"]);
  });

  it("lose nothing of the text", () => {
    for (const filter of ["", " a ' b", "metrics.ü > 1 §$%& `x", "a=1and b='\n'"]) {
      expect(
        tokensOf(filter)
          .map((token) => token.text)
          .join(""),
      ).toBe(filter);
      expect(tokensOf(filter).every((token) => filter.slice(token.begin, token.end) === token.text)).toBe(true);
    }
  });

  it("tell what can be no word, where it stands", () => {
    const wrong = (filter: string) =>
      tokensOf(filter)
        .filter((token) => token.mistake)
        .map(({ begin, end, mistake }) => [begin, end, mistake.split(" ")[1]]);
    expect(wrong("params.a = 'x")).toEqual([[11, 13, "quotation"]]);
    expect(wrong("params.`a = 1")).toEqual([[0, 13, "backtick"]]);
    expect(wrong("metrics.a > 1 && b")).toEqual([
      [14, 15, "sign"],
      [15, 16, "sign"],
    ]);
    expect(wrong("metrics.a > 1 and params.b = 'x'")).toEqual([]);
  });
});

describe("completions", () => {
  it("offer names, those that begin so first", () => {
    expect(at("|").items.slice(0, 5)).toEqual([
      "metrics.`val/auc`",
      "metrics.auc",
      "metrics.loss",
      "params.depth",
      "params.trees",
    ]);
    expect(at("params.|").items).toEqual(["params.depth", "params.trees"]);
    expect(at("au|").items).toEqual(["metrics.`val/auc`", "metrics.auc"]);
    expect(at("metrics.auc > 1 and tags.m|").items).toEqual(["tags.`mlflow.user`"]);
  });

  it("offer the comparisons that go with a name", () => {
    expect(at("metrics.auc |").items).toEqual(["=", "!=", "<", "<=", ">", ">="]);
    expect(at("params.trees |").items).toContain("IS NULL");
    expect(at("attributes.run_name |").items).not.toContain("<");
    expect(at("params.trees IS|").items).toEqual(["IS NULL", "IS NOT NULL"]);
  });

  it("offer values that were seen, and states", () => {
    expect(at("params.trees = |").items).toEqual(["'100'", "'200'"]);
    expect(at("params.trees = '2|").items).toEqual(["'200'"]);
    expect(at("params.trees =|").items).toEqual(["'100'", "'200'"]);
    expect(at("attributes.status = 'F|").items).toEqual(["'FAILED'", "'FINISHED'"]);
    expect(at("attributes.run_name = |").items).toEqual(['"o\'clock"', "'first'"]);
    expect(at("metrics.auc > |").items).toEqual([]);
  });

  it("go on with and", () => {
    expect(at("params.trees = '200' |").items).toEqual(["and"]);
    expect(at("params.trees IS NULL |").items).toEqual(["and"]);
    expect(expectedAfter(tokensOf("run_id IN ('1', ")).expected).toBe("list");
    expect(expectedAfter(tokensOf("run_id IN ('1')")).expected).toBe("joint");
  });

  it("take the place of what was typed, and leave the rest", () => {
    const filter = "par and metrics.auc > 1";
    const found = completionsAt(filter, 3, KNOWN);
    expect(complete(filter, found, "params.trees")).toEqual({
      filter: "params.trees and metrics.auc > 1",
      cursor: 13,
    });
    expect(complete("params.trees", { begin: 12, end: 12, what: "Comparisons", items: [] }, "=").filter).toBe(
      "params.trees = ",
    );
  });
});

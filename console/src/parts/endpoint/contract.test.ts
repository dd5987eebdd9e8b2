import { describe, expect, it } from "vitest";
import { contractOf, readValue, refusalOf, tableOf } from "./contract";

const DOCUMENT = {
  paths: {
    "/invocations": {
      post: {
        requestBody: {
          content: {
            "application/json": {
              schema: {
                oneOf: [
                  {
                    title: "dataframe_records",
                    properties: {
                      dataframe_records: {
                        items: {
                          properties: {
                            amount: { type: ["number", "null"] },
                            hour: { type: "integer" },
                            tags: { type: "array" },
                          },
                          required: ["amount"],
                        },
                      },
                    },
                  },
                ],
              },
              example: { dataframe_split: { columns: ["amount", "hour"], data: [[1.5, 3]] } },
            },
          },
        },
      },
    },
  },
};

describe("an endpoint's document", () => {
  it("tells the columns and the rows of its example", () => {
    const contract = contractOf(DOCUMENT);
    expect(contract.fields).toEqual([
      { name: "amount", kind: "number", isRequired: true },
      { name: "hour", kind: "integer", isRequired: false },
      { name: "tags", kind: "other", isRequired: false },
    ]);
    expect(contract.rows).toEqual([{ amount: 1.5, hour: 3 }]);
  });

  it("may have no columns at all", () => {
    expect(contractOf({}).fields).toEqual([]);
    expect(contractOf(undefined).example).toBeNull();
  });
});

describe("what was typed", () => {
  it("is read by the column's kind, and left to the model where it is not of it", () => {
    expect(readValue("", "number")).toBeNull();
    expect(readValue("1.5", "number")).toBe(1.5);
    expect(readValue("x", "integer")).toBe("x");
    expect(readValue("true", "boolean")).toBe(true);
    expect(readValue("[1]", "other")).toEqual([1]);
  });
});

describe("predictions", () => {
  it("become rows, whatever their form", () => {
    expect(tableOf('{"predictions": [0.5, "a"]}')).toEqual({ columns: ["prediction"], rows: [["0.5"], ["a"]] });
    expect(tableOf('{"predictions": [[1, 2]]}')).toEqual({ columns: ["0", "1"], rows: [["1", "2"]] });
    expect(tableOf('{"predictions": [{"p": 1}]}')).toEqual({ columns: ["p"], rows: [["1"]] });
    expect(tableOf('{"predictions": {"p": [1, 2]}}')).toEqual({ columns: ["p"], rows: [["1"], ["2"]] });
    expect(tableOf("no JSON")).toBeNull();
  });
});

describe("a refusal", () => {
  it("names the column that it is about, where there is one", () => {
    expect(refusalOf('{"message":"no number","column":"amount","row":0}').column).toBe("amount");
    expect(refusalOf('{"detail":"too large"}')).toEqual({ message: "too large", hint: "", column: "" });
    expect(refusalOf("<html>").message).toBe("<html>");
  });
});

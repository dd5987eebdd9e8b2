import { expect, it } from "vitest";
import { asCommand, asPython, readTags } from "./saying";

const WANTED = {
  model: "fraud",
  logged_model: "m-1",
  memory: "2Gi",
  cpus: "0.5",
  needs_token: false,
  tags: { a: "b c" },
};

it("the command says all that the dialog asks for", () => {
  expect(asCommand("r1", "fraud", WANTED)).toBe(
    "taxiway model convert r1 --project fraud --name fraud --logged-model m-1 --memory 2Gi --cpus 0.5 --tag 'a=b c' --open",
  );
});

it("what is as it is by itself is not said", () => {
  const plain = { model: "fraud", logged_model: null, memory: null, cpus: null, needs_token: true, tags: {} };
  expect(asCommand("r1", "fraud", plain)).toBe("taxiway model convert r1 --project fraud --name fraud");
  expect(asPython("r1", "fraud", plain)).toContain('ConversionIn(model="fraud")');
});

it("Python says the same", () => {
  expect(asPython("r1", "fraud", WANTED)).toContain(
    'ConversionIn(model="fraud", logged_model="m-1", memory="2Gi", cpus="0.5", needs_token=False, tags={"a": "b c"})',
  );
});

it("a shell never runs what a tag says", () => {
  expect(asCommand("r1", "p", { ...WANTED, tags: { x: "'; rm -rf /; '" } })).toContain(`'x='\\''; rm -rf /; '\\'''`);
});

it("a tag is a name and a value", () => {
  expect(readTags(["team=risk", "x=a=b", "loose", "=no"])).toEqual({
    tags: { team: "risk", x: "a=b" },
    wrong: ["loose", "=no"],
  });
});

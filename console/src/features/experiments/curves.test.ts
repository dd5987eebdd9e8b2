import { expect, it } from "vitest";
import { chosenOf, MOST_POINTS, rangeOf, stepsOf } from "./curves";

it("keeps every step of what was dragged over", () => {
  expect(rangeOf(12.7, 99.2)).toBe("12~100");
  expect(rangeOf(-3.5, 0)).toBe("-4~0");
  expect(stepsOf(rangeOf(12.7, 99.2))).toEqual({ from: "12", until: "100" });
});

it("takes no other part than one from a step until a later one", () => {
  for (const wrong of ["", "5", "9~5", "a~b", "1~2~3", "1.5~2", `${"9".repeat(40)}~5`])
    expect(stepsOf(wrong)).toEqual({});
  expect(stepsOf("-4~-4")).toEqual({ from: "-4", until: "-4" });
});

it("says when not all values are drawn, and from where to where they go", () => {
  const points = Array.from({ length: MOST_POINTS }, (_, at) => ({ step: at * 500 }));
  expect(chosenOf(points)).toBe("2,000 values, evenly chosen from those of steps 0 to 999,500");
  expect(chosenOf(points.slice(1))).toBe("");
  expect(chosenOf([])).toBe("");
});

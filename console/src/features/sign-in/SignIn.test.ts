import { expect, it } from "vitest";
import { nextOf } from "./SignIn";

it("leads back into the console and nowhere else", () => {
  expect(nextOf("/models?project=a")).toBe("/models?project=a");
  for (const odd of [
    null,
    "",
    "https://evil.example",
    "//evil.example",
    "/\\evil.example",
    "javascript:alert(1)",
    "/sign-in",
  ]) {
    expect(nextOf(odd)).toBe("/");
  }
});

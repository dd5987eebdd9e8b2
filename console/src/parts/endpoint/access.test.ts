import { expect, it } from "vitest";
import { accessOf } from "./access";

const LINE = { status: 200, method: "POST", path: "/invocations", duration_ms: 12, caller: "till 7", flags: "-" };

it("a request is told in one line", () => {
  expect(accessOf(JSON.stringify(LINE))).toBe("200  POST  /invocations  12 ms  till 7");
});

it("what went wrong at the gateway is told with it", () => {
  const cut = { ...LINE, status: 503, caller: null, flags: "UF", details: "upstream_reset" };
  expect(accessOf(JSON.stringify(cut))).toBe("503  POST  /invocations  12 ms  no token  UF upstream_reset");
});

it("a line that is no JSON is shown as it is", () => {
  expect(accessOf("[warning] started")).toBe("[warning] started");
});

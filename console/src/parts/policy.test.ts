import { describe, expect, it } from "vitest";
import { isFine, isSamePolicy, NO_POLICY, type Policy, policyBody, policyOf, sayPolicy } from "./policy";

const CPU: Policy = { ...NO_POLICY, metric: "cpu", target: 70 };
const OFFICE = { min_pods: 3, days: [0, 4], begins: "08:00", until: "18:00", zone: "Europe/Berlin" };

describe("a policy", () => {
  it("is nothing without a metric, whatever was typed before", () => {
    expect(policyBody({ ...CPU, metric: "none", schedules: [OFFICE] })).toEqual(NO_POLICY);
    expect(policyOf(null)).toEqual(NO_POLICY);
    expect(isSamePolicy({ ...CPU, metric: "none" }, NO_POLICY)).toBe(true);
  });

  it("is sent whole, so that a change of one setting keeps the others", () => {
    const of = { ...CPU, tolerance: 0.3, schedules: [OFFICE] };
    expect(policyBody(policyOf(of))).toEqual(of);
    expect(isSamePolicy(of, { ...of, tolerance: 0.2 })).toBe(false);
  });

  it("is said in words", () => {
    expect([isFine(CPU), isFine({ ...CPU, up_pods: 1 }), isFine({ ...CPU, schedules: [OFFICE] })]).toEqual([
      false,
      true,
      true,
    ]);
    expect(sayPolicy({ ...CPU, schedules: [OFFICE] })).toBe("cpu 70; at least 3 on Mon Fri 08:00–18:00 Europe/Berlin");
    expect(sayPolicy({ ...CPU, down_pods: 2 })).toBe("cpu 70, with finer settings");
  });
});

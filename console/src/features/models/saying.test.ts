import { expect, it } from "vitest";
import { NO_POLICY } from "../../parts/policy";
import { asCommand, asPython } from "./saying";

const WANTED = {
  project: "fraud",
  model: "scorer",
  version: 3,
  name: "scorer-acme",
  reason: "They asked; $(rm -rf /) 'now'",
  customer: "Acme Ltd",
  memory: "1Gi",
  cpus: "0.5",
  min_pods: 0,
  max_pods: 2,
  needs_token: false,
  autoscaling: null,
  rollout: null,
  accept_breaking: false,
  dry_run: false,
};
const POLICY = {
  ...NO_POLICY,
  metric: "concurrency" as const,
  target: 5,
  idle_seconds: 60,
  schedules: [{ min_pods: 1, days: [0], begins: "08:00", until: "18:00", zone: "UTC" }],
};

it("the command says all that the dialog asks for, and a shell runs nothing of it", () => {
  expect(asCommand({ ...WANTED, autoscaling: POLICY, quota_per_second: 5 }, " --tagged")).toBe(
    "taxiway production promote scorer/3 --project fraud --to scorer-acme " +
      "--reason 'They asked; $(rm -rf /) '\\''now'\\''' --customer 'Acme Ltd' --memory 1Gi --cpus 0.5 --min-pods 0 " +
      "--max-pods 2 --quota 5 --autoscale concurrency=5 --idle-after 60 --open --tagged",
  );
});

it("Python says the same", () => {
  const text = asPython({ ...WANTED, autoscaling: POLICY });
  expect(text).toContain("from taxiway.wire.production import PolicyIn, PromotionIn, ScheduleIn");
  expect(text).toContain('reason="They asked; $(rm -rf /) \'now\'", customer="Acme Ltd"');
  expect(text).toContain("needs_token=False");
  expect(text).toContain(
    'autoscaling=PolicyIn(metric="concurrency", target=5, idle_seconds=60, schedules=[ScheduleIn(min_pods=1, days=[0], begins="08:00", until="18:00", zone="UTC")])',
  );
  expect(asPython(WANTED)).not.toContain("rollout");
});

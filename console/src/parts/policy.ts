/** An autoscaling policy as a form holds it: the API's own words, and what is usual for each metric. */
import type { Schema } from "../api/types";

export type Policy = Required<Schema<"PolicyIn">> & { schedules: Required<Schema<"ScheduleIn">>[] };
export type Schedule = Policy["schedules"][number];

export const USUAL: Record<Policy["metric"], number> = { none: 0, concurrency: 5, requests: 100, cpu: 70, memory: 80 };

/** What holds where nothing else is said. */
export const NO_POLICY: Policy = {
  metric: "none",
  target: 0,
  tolerance: 0.1,
  over_seconds: 30,
  up_window_seconds: 0,
  down_window_seconds: 300,
  idle_seconds: 300,
  up_pods: 4,
  up_percent: 100,
  up_period_seconds: 15,
  down_pods: 1,
  down_percent: 100,
  down_period_seconds: 15,
  schedules: [],
};

export const policyOf = (policy: Schema<"PolicyOut"> | null): Policy =>
  policy ? { ...policy, metric: policy.metric as Policy["metric"] } : NO_POLICY;

/** What is asked for; without a metric there is no policy, and nothing of it counts. */
export const policyBody = (policy: Policy): Schema<"PolicyIn"> =>
  policy.metric === "none" ? { ...NO_POLICY } : policy;

export const isSamePolicy = (one: Policy, other: Policy) =>
  JSON.stringify(policyBody(one)) === JSON.stringify(policyBody({ ...other }));

/** The same policy, without what holds anyway. */
export const shortPolicy = (policy: Schema<"PolicyIn">) =>
  Object.fromEntries(
    Object.entries(policy).filter(
      ([key, value]) => key === "metric" || JSON.stringify(value) !== JSON.stringify(NO_POLICY[key as keyof Policy]),
    ),
  );

const KEYS = Object.keys(NO_POLICY).filter((key) => key !== "metric" && key !== "target") as (keyof Policy)[];

/** Whether more than a metric and its target is said. */
export const isFine = (policy: Policy) =>
  policy.metric !== "none" && KEYS.some((key) => JSON.stringify(policy[key]) !== JSON.stringify(NO_POLICY[key]));

const DAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

export const dayName = (day: number) => DAYS[day] ?? String(day);

export const sayPolicy = (policy: Policy): string => {
  if (policy.metric === "none") return "off";
  const more = isFine({ ...policy, schedules: [] }) ? ", with finer settings" : "";
  const schedules = policy.schedules.map(
    (each) =>
      `at least ${each.min_pods} on ${each.days.map(dayName).join(" ")} ${each.begins}–${each.until} ${each.zone}`,
  );
  return [`${policy.metric} ${policy.target}${more}`, ...schedules].join("; ");
};

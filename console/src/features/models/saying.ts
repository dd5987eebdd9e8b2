/** What the dialog is about to do, as a command and as Python: the same request. */
import type { Schema } from "../../api/types";
import { shortPolicy } from "../../parts/policy";
import { call, python, shell } from "../../parts/saying";

type Wanted = Schema<"PromotionIn">;
type Rollout = Schema<"StrategyIn">;

export function asCommand(wanted: Wanted, rollout: string): string {
  const words = [
    "taxiway production promote",
    shell(`${wanted.model}/${wanted.version}`),
    "--project",
    shell(wanted.project),
    "--to",
    shell(wanted.name),
    "--reason",
    shell(wanted.reason),
  ];
  const give = (option: string, value: string | number | null | undefined) => {
    if (value !== null && value !== undefined) words.push(option, shell(String(value)));
  };
  give("--customer", wanted.customer);
  give("--memory", wanted.memory);
  give("--cpus", wanted.cpus);
  give("--min-pods", wanted.min_pods);
  give("--max-pods", wanted.max_pods);
  give("--quota", wanted.quota_per_second);
  give("--quota-burst", wanted.quota_burst);
  const policy = wanted.autoscaling;
  if (policy) {
    const short = shortPolicy(policy);
    give("--autoscale", policy.metric === "none" ? "none" : `${policy.metric}=${policy.target}`);
    if ("down_window_seconds" in short) give("--down-window", policy.down_window_seconds);
    if ("idle_seconds" in short) give("--idle-after", policy.idle_seconds);
  }
  if (wanted.needs_token === false) words.push("--open");
  if (wanted.accept_breaking) words.push("--accept-breaking");
  return words.join(" ") + rollout;
}

export function asPython(wanted: Wanted): string {
  const { autoscaling: policy, rollout, ...plain } = wanted;
  const given = Object.fromEntries(
    Object.entries(plain)
      .filter(([key, value]) => value !== null && value !== undefined && !(key === "accept_breaking" && !value))
      .map(([key, value]) => [key, python(value)]),
  );
  const names = ["PromotionIn", ...(policy ? ["PolicyIn"] : []), ...(rollout ? ["StrategyIn"] : [])];
  if (policy?.schedules?.length) names.push("ScheduleIn");
  return [
    "from taxiway import Client",
    `from taxiway.wire.production import ${names.sort().join(", ")}`,
    "",
    `wanted = ${call("PromotionIn", {
      ...given,
      autoscaling: policy ? policyAsPython(policy) : undefined,
      rollout: rollout ? call("StrategyIn", keywords(rollout)) : undefined,
    })}`,
    "with Client() as client:",
    "    client.promote(wanted)",
  ].join("\n");
}

const keywords = (of: Rollout | Record<string, unknown>) =>
  Object.fromEntries(Object.entries(of).map(([key, value]) => [key, python(value)]));

function policyAsPython(policy: Schema<"PolicyIn">): string {
  const { schedules, ...plain } = shortPolicy(policy) as Record<string, unknown> & { schedules?: object[] };
  const all = schedules?.map((each) => call("ScheduleIn", keywords(each as Record<string, unknown>)));
  return call("PolicyIn", { ...keywords(plain), schedules: all && `[${all.join(", ")}]` });
}

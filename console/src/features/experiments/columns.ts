/** The columns of a runs table: what every run has, then its parameters, then its metrics. */
import type { Run } from "../../api/types";
import { ago, duration, figure } from "../../parts/format";

export interface Column {
  key: string;
  label: string;
  group: "meta" | "params" | "metrics";
  width: number;
  isNumber: boolean;
  /** How MLflow's order_by names it; "" where it cannot sort by it. */
  order: string;
  show: (run: Run) => string;
}

const took = (run: Run) =>
  run.started_at && run.ended_at ? (Date.parse(run.ended_at) - Date.parse(run.started_at)) / 1000 : null;

export const META: Column[] = [
  {
    key: "started",
    label: "Started",
    group: "meta",
    width: 110,
    isNumber: false,
    order: "attributes.start_time",
    show: (run) => ago(run.started_at),
  },
  {
    key: "duration",
    label: "Duration",
    group: "meta",
    width: 96,
    isNumber: true,
    order: "",
    show: (run) => duration(took(run)),
  },
  { key: "user", label: "User", group: "meta", width: 100, isNumber: false, order: "", show: (run) => run.user },
];

/** Quotes a name for MLflow's filter language. */
export const quoted = (name: string) => (/^\w+$/.test(name) ? name : `\`${name.replaceAll("`", "")}\``);

export function columnsOf(runs: Run[]): Column[] {
  const params = new Set<string>();
  const metrics = new Set<string>();
  for (const run of runs) {
    for (const name of Object.keys(run.parameters)) params.add(name);
    for (const name of Object.keys(run.metrics)) metrics.add(name);
  }
  return [
    ...META,
    ...[...metrics].sort().map(
      (name): Column => ({
        key: `metrics.${name}`,
        label: name,
        group: "metrics",
        width: 118,
        isNumber: true,
        order: `metrics.${quoted(name)}`,
        show: (run) => (name in run.metrics ? figure(run.metrics[name]) : ""),
      }),
    ),
    ...[...params].sort().map(
      (name): Column => ({
        key: `params.${name}`,
        label: name,
        group: "params",
        width: 130,
        isNumber: false,
        order: `params.${quoted(name)}`,
        show: (run) => run.parameters[name] ?? "",
      }),
    ),
  ];
}

const HEADINGS = { meta: "META DATA", metrics: "METRICS", params: "PARAMETERS" };

/** The headings above the columns, each as wide as those below it; `first` is what stands before all of them. */
export function groupsOf(columns: Column[], first: number): { label: string; width: number }[] {
  return (["meta", "metrics", "params"] as const)
    .map((group) => ({
      label: HEADINGS[group],
      width: columns
        .filter((column) => column.group === group)
        .reduce((sum, { width }) => sum + width, group === "meta" ? first : 0),
    }))
    .filter(({ width }) => width > 0);
}

/** What is asked of MLflow: what was typed, and the state that was chosen beside it. */
export const whereOf = (filter: string, state: string) =>
  [filter.trim(), state && `attributes.status = '${state}'`].filter(Boolean).join(" and ");

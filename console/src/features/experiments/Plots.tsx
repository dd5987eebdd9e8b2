import { Text, useComputedColorScheme } from "@mantine/core";
import type { Run } from "../../api/types";
import { colorOf } from "../../parts/Chart";
import { figure } from "../../parts/format";

const WIDTH = 900;
const HEIGHT = 380;
const PAD = { top: 24, right: 60, bottom: 40, left: 60 };

/** Reads `metrics.…` or `params.…` of a run as a number; null where it has none. */
export function numberOf(run: Run, axis: string): number | null {
  const [kind = "", ...rest] = axis.split(".");
  const name = rest.join(".");
  const value = kind === "metrics" ? run.metrics[name] : Number(run.parameters[name] ?? Number.NaN);
  return value === null || value === undefined || !Number.isFinite(value) ? null : value;
}

function scaleOf(values: (number | null)[], from: number, to: number) {
  const known = values.filter((value) => value !== null);
  const low = Math.min(...known);
  const high = Math.max(...known);
  const at = (value: number) => (high === low ? (from + to) / 2 : from + ((value - low) / (high - low)) * (to - from));
  return { low, high, at };
}

/** One upright axis a number; a line a run. Axes without any difference say nothing and are left out. */
export function Parallel({ runs }: { runs: Run[] }) {
  const scheme = useComputedColorScheme("light");
  const all = [
    ...new Set(
      runs.flatMap((run) => [
        ...Object.keys(run.parameters).map((name) => `params.${name}`),
        ...Object.keys(run.metrics).map((name) => `metrics.${name}`),
      ]),
    ),
  ];
  const axes = all
    .filter((axis) => new Set(runs.map((run) => numberOf(run, axis)).filter((value) => value !== null)).size > 1)
    .slice(0, 10);
  if (axes.length < 2)
    return (
      <Text size="sm" c="dimmed">
        Fewer than two numbers differ between these runs.
      </Text>
    );
  const x = (at: number) => PAD.left + (at * (WIDTH - PAD.left - PAD.right)) / (axes.length - 1);
  const scales = axes.map((axis) =>
    scaleOf(
      runs.map((run) => numberOf(run, axis)),
      HEIGHT - PAD.bottom,
      PAD.top,
    ),
  );
  const ink = scheme === "dark" ? "#a6a7ab" : "#495057";
  return (
    <svg
      viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
      width="100%"
      role="img"
      aria-label={`Parallel coordinates of ${axes.length} numbers of ${runs.length} runs`}
    >
      {axes.map((axis, at) => (
        <g key={axis}>
          <line x1={x(at)} x2={x(at)} y1={PAD.top} y2={HEIGHT - PAD.bottom} stroke={ink} strokeWidth={1} />
          <text x={x(at)} y={HEIGHT - 8} fontSize={11} textAnchor="middle" fill={ink}>
            {axis.slice(axis.indexOf(".") + 1).slice(0, 22)}
          </text>
          <text x={x(at) + 4} y={PAD.top - 8} fontSize={10} fill={ink}>
            {figure(scales[at]?.high)}
          </text>
          <text x={x(at) + 4} y={HEIGHT - PAD.bottom + 14} fontSize={10} fill={ink}>
            {figure(scales[at]?.low)}
          </text>
        </g>
      ))}
      {runs.map((run, number) => {
        const points = axes.flatMap((axis, at) => {
          const value = numberOf(run, axis);
          return value === null ? [] : [`${x(at)},${scales[at]?.at(value)}`];
        });
        return (
          <polyline
            key={run.id}
            points={points.join(" ")}
            fill="none"
            stroke={colorOf(scheme, number)}
            strokeWidth={1.8}
            opacity={0.85}
          >
            <title>{run.name}</title>
          </polyline>
        );
      })}
    </svg>
  );
}

export function Scatter({ runs, x, y }: { runs: Run[]; x: string; y: string }) {
  const scheme = useComputedColorScheme("light");
  const points = runs.flatMap((run) => {
    const across = numberOf(run, x);
    const up = numberOf(run, y);
    return across === null || up === null ? [] : [{ run, across, up }];
  });
  if (points.length === 0)
    return (
      <Text size="sm" c="dimmed">
        No run has both numbers.
      </Text>
    );
  const horizontal = scaleOf(
    points.map((point) => point.across),
    PAD.left,
    WIDTH - PAD.right,
  );
  const vertical = scaleOf(
    points.map((point) => point.up),
    HEIGHT - PAD.bottom,
    PAD.top,
  );
  const ink = scheme === "dark" ? "#a6a7ab" : "#495057";
  return (
    <svg
      viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
      width="100%"
      role="img"
      aria-label={`${y} over ${x} of ${points.length} runs`}
    >
      <line x1={PAD.left} x2={WIDTH - PAD.right} y1={HEIGHT - PAD.bottom} y2={HEIGHT - PAD.bottom} stroke={ink} />
      <line x1={PAD.left} x2={PAD.left} y1={PAD.top} y2={HEIGHT - PAD.bottom} stroke={ink} />
      <text x={WIDTH / 2} y={HEIGHT - 6} fontSize={12} textAnchor="middle" fill={ink}>
        {x}: {figure(horizontal.low)} … {figure(horizontal.high)}
      </text>
      <text x={8} y={14} fontSize={12} fill={ink}>
        {y}: {figure(vertical.low)} … {figure(vertical.high)}
      </text>
      {points.map(({ run, across, up }, number) => (
        <g key={run.id}>
          <circle cx={horizontal.at(across)} cy={vertical.at(up)} r={6} fill={colorOf(scheme, number)}>
            <title>{`${run.name}: ${figure(across)}, ${figure(up)}`}</title>
          </circle>
          <text x={horizontal.at(across) + 9} y={vertical.at(up) + 4} fontSize={11} fill={ink}>
            {run.name}
          </text>
        </g>
      ))}
    </svg>
  );
}

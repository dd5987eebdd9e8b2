import { Box, Group, Text, useComputedColorScheme } from "@mantine/core";
import { useEffect, useRef } from "react";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { moment } from "./format";

export interface Line {
  label: string;
  values: (number | null)[];
  color?: string;
}

export interface Mark {
  at: number;
  text: string;
  color: string;
}

const COLORS = {
  light: ["#3b5bdb", "#0ca678", "#e8590c", "#ae3ec9", "#f08c00", "#1098ad", "#e03131", "#495057"],
  dark: ["#748ffc", "#38d9a9", "#ff922b", "#da77f2", "#ffd43b", "#3bc9db", "#ff8787", "#ced4da"],
};
export const colorOf = (scheme: "light" | "dark", number: number) => COLORS[scheme][number % 8] ?? "#888";

/** Lines over time, or over steps, with marks of what happened. */
export function Chart({
  title,
  x,
  lines,
  marks = [],
  height = 180,
  isTime = true,
  say = String,
  isLog = false,
  spans = false,
  zoom,
}: {
  title: string;
  x: number[];
  lines: Line[];
  marks?: Mark[];
  height?: number;
  isTime?: boolean;
  say?: (value: number) => string;
  isLog?: boolean;
  /** Joins values between which only other lines have one: they were not measured at the same places. */
  spans?: boolean;
  /** Told from where to where somebody dragged. */
  zoom?: (low: number, high: number) => void;
}) {
  const place = useRef<HTMLDivElement>(null);
  const scheme = useComputedColorScheme("light");
  const zoomed = useRef(zoom);
  zoomed.current = zoom;
  useEffect(() => {
    const host = place.current;
    if (!host) return;
    const ink = scheme === "dark" ? "#a6a7ab" : "#495057";
    const grid = { stroke: scheme === "dark" ? "#2c2e33" : "#e9ecef", width: 1 };
    const axis = { stroke: ink, grid, ticks: grid, font: "11px sans-serif" };
    const plot = new uPlot(
      {
        width: host.clientWidth || 320,
        height,
        scales: {
          x: { time: isTime },
          y: isLog
            ? { distr: 3 }
            : { range: (_u, low, high) => [Math.min(low ?? 0, 0), high && high > 0 ? high * 1.08 : 1] },
        },
        legend: { live: true },
        cursor: { points: { size: 5 } },
        series: [
          {
            label: isTime ? "Time" : "Step",
            value: (_u, value) => (value === null ? "–" : isTime ? moment(value, 1) : String(value)),
          },
          ...lines.map((line, number) => ({
            label: line.label,
            stroke: line.color ?? colorOf(scheme, number),
            width: 1.6,
            spanGaps: spans,
            points: { show: line.values.filter((value) => value !== null).length < 60, size: 4 },
            value: (_u: uPlot, value: number | null) => (value === null ? "–" : say(value)),
          })),
        ],
        axes: [
          isTime
            ? { ...axis, space: 64, values: (_u, splits, _axis, _space, step) => splits.map((at) => moment(at, step)) }
            : axis,
          { ...axis, size: 58, values: (_u, values) => values.map((value) => (value === null ? "" : say(value))) },
        ],
        hooks: {
          setSelect: [
            (u) => {
              const { left, width } = u.select;
              if (width > 0) zoomed.current?.(u.posToVal(left, "x"), u.posToVal(left + width, "x"));
            },
          ],
          draw: [
            (u) => {
              for (const mark of marks) {
                const at = u.valToPos(mark.at, "x", true);
                if (at < u.bbox.left || at > u.bbox.left + u.bbox.width) continue;
                u.ctx.save();
                u.ctx.strokeStyle = mark.color;
                u.ctx.setLineDash([4, 3]);
                u.ctx.beginPath();
                u.ctx.moveTo(at, u.bbox.top);
                u.ctx.lineTo(at, u.bbox.top + u.bbox.height);
                u.ctx.stroke();
                u.ctx.restore();
              }
            },
          ],
        },
      },
      [x, ...lines.map((line) => line.values)] as uPlot.AlignedData,
      host,
    );
    const watch = new ResizeObserver(() => plot.setSize({ width: host.clientWidth || 320, height }));
    watch.observe(host);
    return () => {
      watch.disconnect();
      plot.destroy();
    };
  }, [x, lines, marks, height, isTime, say, isLog, spans, scheme]);
  const last = lines.map((line) => `${line.label} ${say(line.values.at(-1) ?? 0)}`).join(", ");
  return (
    <Box>
      <Group justify="space-between">
        <Text size="xs" fw={600}>
          {title}
        </Text>
      </Group>
      <div
        ref={place}
        role="img"
        aria-label={x.length ? `${title}, last: ${last}` : `${title}: nothing was measured`}
      />
    </Box>
  );
}

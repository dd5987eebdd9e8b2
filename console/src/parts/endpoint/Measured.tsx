import { Anchor, Group, SegmentedControl, SimpleGrid, Stack, Text } from "@mantine/core";
import { useMemo } from "react";
import { useGet } from "../../api/hooks";
import type { Series } from "../../api/types";
import { Empty, Panel, Shown, Time } from "../Bits";
import { Chart, type Line, type Mark } from "../Chart";
import { bytes, figure, milliseconds, percent } from "../format";
import { useUrl } from "../useUrl";

const RANGES = [
  { value: "15", label: "15 min" },
  { value: "60", label: "1 h" },
  { value: "360", label: "6 h" },
  { value: "1440", label: "1 d" },
  { value: "10080", label: "7 d" },
];
const EVERY_MS = 10_000;

export function useRange(): [string, (value: string) => void] {
  return useUrl("minutes", "60");
}

export function Range({ value, onChange }: { value: string; onChange: (value: string) => void }) {
  return <SegmentedControl value={value} onChange={onChange} data={RANGES} aria-label="Time range" />;
}

/** What was measured of a deployment or of all, with marks of what happened. */
export function Measured({ path }: { path: string }) {
  const [minutes, setMinutes] = useRange();
  const found = useGet<Series>(path, { query: { minutes }, every: EVERY_MS, keeps: true });
  return (
    <Stack gap="md">
      <Group justify="flex-end">
        <Range value={minutes} onChange={setMinutes} />
      </Group>
      <Shown of={found} rows={10}>
        {(series) => <Charts of={series} />}
      </Shown>
    </Stack>
  );
}

const COLORS: Record<string, string> = {
  ScaledUp: "#0ca678",
  ScaledDown: "#1098ad",
  Promoted: "#3b5bdb",
  RolledBack: "#e8590c",
  Failed: "#e03131",
};

export function marksOf(series: Series): Mark[] {
  return series.markers.map((marker) => ({
    at: Date.parse(marker.at) / 1000,
    text: marker.message,
    color: COLORS[marker.reason] ?? "#868e96",
  }));
}

function Charts({ of }: { of: Series }) {
  const drawn = useMemo(() => {
    const x = of.points.map((point) => Date.parse(point.at) / 1000);
    const line = (label: string, pick: (point: Series["points"][number]) => number | null, color?: string): Line => ({
      label,
      values: of.points.map(pick),
      color,
    });
    return {
      x,
      marks: marksOf(of),
      requests: [
        line("requests/s", (point) => point.requests_per_second),
        line("rows/s", (point) => point.rows_per_second),
      ],
      latency: [
        line("p50", (point) => point.p50_ms),
        line("p95", (point) => point.p95_ms),
        line("p99", (point) => point.p99_ms),
      ],
      errors: [
        line("5xx", (point) => point.error_rate, "#e03131"),
        line("4xx", (point) => point.client_error_rate, "#f08c00"),
      ],
      concurrency: [line("concurrency", (point) => point.concurrency), line("pods", (point) => point.pods)],
      cpus: [line("CPUs", (point) => point.cpus)],
      memory: [line("memory", (point) => point.memory_bytes)],
    };
  }, [of]);
  if (of.points.length === 0)
    return <Empty title="Nothing was measured in this time">Figures appear ten seconds after a pod is ready.</Empty>;
  const { x, marks } = drawn;
  return (
    <Stack gap="md">
      <SimpleGrid cols={{ base: 1, md: 2 }} spacing="md">
        <Panel>
          <Chart title="Requests and rows per second" x={x} lines={drawn.requests} marks={marks} say={figure} />
        </Panel>
        <Panel>
          <Chart title="Latency" x={x} lines={drawn.latency} marks={marks} say={milliseconds} />
        </Panel>
        <Panel>
          <Chart title="Errors, share of requests" x={x} lines={drawn.errors} marks={marks} say={percent} />
        </Panel>
        <Panel>
          <Chart title="Concurrency and pods" x={x} lines={drawn.concurrency} marks={marks} say={figure} />
        </Panel>
        <Panel>
          <Chart title="CPUs in use" x={x} lines={drawn.cpus} marks={marks} say={figure} />
        </Panel>
        <Panel>
          <Chart title="Memory" x={x} lines={drawn.memory} marks={marks} say={bytes} />
        </Panel>
      </SimpleGrid>
      {of.markers.length > 0 && (
        <Panel title="What happened in this time">
          <Stack gap={6} mah={260} style={{ overflow: "auto" }} tabIndex={0}>
            {[...of.markers].reverse().map((marker) => (
              <Group key={`${marker.at}-${marker.message}`} gap="sm" wrap="nowrap" align="flex-start">
                <Text size="xs" c="dimmed" w={70} style={{ flex: "none" }}>
                  <Time at={marker.at} />
                </Text>
                <Text size="sm">{marker.message}</Text>
              </Group>
            ))}
          </Stack>
        </Panel>
      )}
      <Text size="xs" c="dimmed">
        Measured at the gateway and by the kernel, in steps of {of.step_seconds} s.{" "}
        <Anchor href="/api/v1/openapi.json" size="xs" underline="always">
          The same figures over the API.
        </Anchor>
      </Text>
    </Stack>
  );
}

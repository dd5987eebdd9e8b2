import { Anchor, Badge, Group, SimpleGrid, Stack, Table, Text } from "@mantine/core";
import { useMemo } from "react";
import { Link } from "react-router";
import { useGet } from "../../api/hooks";
import type { Load, Schema, Series } from "../../api/types";
import { Empty, Page, Panel, Shown } from "../../parts/Bits";
import { Chart } from "../../parts/Chart";
import { Range, useRange } from "../../parts/endpoint/Measured";
import { bytes, figure, milliseconds, percent } from "../../parts/format";
import { Status } from "../../parts/Status";

export default function Monitoring() {
  const [minutes, setMinutes] = useRange();
  const found = useGet<Series>("/measurements", { query: { minutes }, every: 10_000, keeps: true });
  const platform = useGet<Schema<"PlatformOut">>("/platform", { every: 10_000 });
  const models = useGet<Schema<"ModelVersionPage">>("/models", { query: { limit: 500 }, every: 5000 });
  const production = useGet<Schema<"ProductionPage">>("/production/deployments", { every: 5000 });
  const busiest = [
    ...(production.data?.items ?? []).map((each) => ({
      name: each.name,
      kind: "production",
      to: `/deployments/${each.name}?tab=metrics`,
      status: each.status,
      load: each.load,
    })),
    ...(models.data?.items ?? []).map((each) => ({
      name: `${each.model} ${each.version}`,
      kind: `staging, ${each.project}`,
      to: `/models/${each.project}/${each.model}/${each.version}?tab=metrics`,
      status: each.status,
      load: each.load ?? null,
    })),
  ]
    .filter((each): each is typeof each & { load: Load } => each.load !== null)
    .sort(
      (one, other) =>
        other.load.requests_per_second - one.load.requests_per_second ||
        (other.load.memory_bytes ?? 0) - (one.load.memory_bytes ?? 0),
    )
    .slice(0, 15);
  return (
    <Page title="Monitoring" actions={<Range value={minutes} onChange={setMinutes} />}>
      <Group gap="xs">
        {(platform.data?.engines ?? []).map((engine) => (
          <Badge
            key={engine.name}
            variant="light"
            tt="none"
            color={engine.is_alive && engine.phase === "ready" ? "teal" : "red"}
          >
            {engine.name}: {engine.phase}
            {engine.restarts ? `, ${engine.restarts} restarts` : ""}
          </Badge>
        ))}
        {platform.data?.isolation && (
          <Badge variant="default" tt="none">
            isolation: {platform.data.isolation}
          </Badge>
        )}
        {platform.data?.capacity && (
          <Badge variant="default" tt="none">
            {platform.data.capacity.cpus} CPUs, {bytes(platform.data.capacity.memory_bytes)}
          </Badge>
        )}
      </Group>
      <Shown of={found} rows={10}>
        {(series) => <Charts of={series} />}
      </Shown>
      <Panel title="Busiest in the last minute" pad={0}>
        {busiest.length ? (
          <Table.ScrollContainer minWidth={720}>
            <Table highlightOnHover>
              <Table.Thead>
                <Table.Tr>
                  <Table.Th>Deployment</Table.Th>
                  <Table.Th>Status</Table.Th>
                  <Table.Th className="num">Requests/s</Table.Th>
                  <Table.Th className="num">p95</Table.Th>
                  <Table.Th className="num">Errors</Table.Th>
                  <Table.Th className="num">Concurrency</Table.Th>
                  <Table.Th className="num">CPUs</Table.Th>
                  <Table.Th className="num">Memory</Table.Th>
                </Table.Tr>
              </Table.Thead>
              <Table.Tbody>
                {busiest.map((each) => (
                  <Table.Tr key={each.to}>
                    <Table.Td>
                      <Anchor component={Link} to={each.to} size="sm">
                        {each.name}
                      </Anchor>
                      <Text size="xs" c="dimmed">
                        {each.kind}
                      </Text>
                    </Table.Td>
                    <Table.Td>
                      <Status word={each.status} />
                    </Table.Td>
                    <Table.Td className="num">{figure(each.load.requests_per_second)}</Table.Td>
                    <Table.Td className="num">{milliseconds(each.load.p95_ms)}</Table.Td>
                    <Table.Td className="num">{percent(each.load.error_rate)}</Table.Td>
                    <Table.Td className="num">{figure(each.load.concurrency)}</Table.Td>
                    <Table.Td className="num">{figure(each.load.cpus)}</Table.Td>
                    <Table.Td className="num">{bytes(each.load.memory_bytes)}</Table.Td>
                  </Table.Tr>
                ))}
              </Table.Tbody>
            </Table>
          </Table.ScrollContainer>
        ) : (
          <Empty title="No pod runs" />
        )}
      </Panel>
    </Page>
  );
}

function Charts({ of }: { of: Series }) {
  const drawn = useMemo(() => {
    const x = of.points.map((point) => Date.parse(point.at) / 1000);
    const host = of.host.map((point) => Date.parse(point.at) / 1000);
    return {
      x,
      host,
      requests: [{ label: "requests/s", values: of.points.map((point) => point.requests_per_second) }],
      latency: [
        { label: "p50", values: of.points.map((point) => point.p50_ms) },
        { label: "p95", values: of.points.map((point) => point.p95_ms) },
        { label: "p99", values: of.points.map((point) => point.p99_ms) },
      ],
      errors: [
        { label: "5xx", values: of.points.map((point) => point.error_rate), color: "#e03131" },
        { label: "4xx", values: of.points.map((point) => point.client_error_rate), color: "#f08c00" },
      ],
      pods: [
        { label: "pods", values: of.points.map((point) => point.pods) },
        { label: "concurrency", values: of.points.map((point) => point.concurrency) },
      ],
      cpus: [{ label: "host", values: of.host.map((point) => point.cpus) }],
      memory: [{ label: "host", values: of.host.map((point) => point.memory_bytes) }],
    };
  }, [of]);
  if (of.host.length === 0) return <Empty title="Nothing was measured in this time" />;
  return (
    <Stack gap="md">
      <SimpleGrid cols={{ base: 1, md: 2, xl: 3 }}>
        <Panel>
          <Chart title="Requests per second, all deployments" x={drawn.x} lines={drawn.requests} say={figure} />
        </Panel>
        <Panel>
          <Chart title="Latency, all deployments" x={drawn.x} lines={drawn.latency} say={milliseconds} />
        </Panel>
        <Panel>
          <Chart title="Errors, share of requests" x={drawn.x} lines={drawn.errors} say={percent} />
        </Panel>
        <Panel>
          <Chart title="Pods and concurrency" x={drawn.x} lines={drawn.pods} say={figure} />
        </Panel>
        <Panel>
          <Chart title="This host: CPUs in use" x={drawn.host} lines={drawn.cpus} say={figure} />
        </Panel>
        <Panel>
          <Chart title="This host: memory in use" x={drawn.host} lines={drawn.memory} say={bytes} />
        </Panel>
      </SimpleGrid>
      <Text size="xs" c="dimmed">
        Free on the disk of the data directory: {bytes(of.host.at(-1)?.disk_free_bytes)}. Steps of {of.step_seconds} s.
        Prometheus reads the same counts at the metrics port, see “Observe” in the documentation.
      </Text>
    </Stack>
  );
}

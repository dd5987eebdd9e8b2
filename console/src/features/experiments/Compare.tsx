import {
  Anchor,
  Badge,
  SegmentedControl,
  Select,
  SimpleGrid,
  Stack,
  Switch,
  Table,
  Text,
  useComputedColorScheme,
} from "@mantine/core";
import { useQueries } from "@tanstack/react-query";
import { useMemo } from "react";
import { Link, useParams } from "react-router";
import { get, type Problem, part } from "../../api/client";
import type { Run, Schema } from "../../api/types";
import { Empty, ErrorBox, Page, Panel, Waiting } from "../../parts/Bits";
import { Chart, colorOf } from "../../parts/Chart";
import { figure } from "../../parts/format";
import { useUrl } from "../../parts/useUrl";
import { MOST_POINTS } from "./curves";
import { Parallel, Scatter } from "./Plots";

type MetricPage = Schema<"MetricPage">;
const MOST_RUNS = 20;

export default function Compare() {
  const { project = "" } = useParams();
  const [ids] = useUrl("runs");
  const [view, setView] = useUrl("view", "table");
  const names = ids.split(",").filter(Boolean).slice(0, MOST_RUNS);
  const found = useQueries({
    queries: names.map((id) => ({
      queryKey: [`/projects/${project}/runs/${part(id)}`, {}],
      queryFn: () => get<Run>(`/projects/${project}/runs/${part(id)}`),
    })),
  });
  const runs = found.map((each) => each.data).filter((run) => run !== undefined);
  const error = found.find((each) => each.error)?.error as Problem | undefined;
  return (
    <Page
      title={`Compare ${names.length} runs`}
      crumbs={[
        { label: "Experiments", to: `/experiments?project=${project}` },
        ...(runs[0] ? [{ label: "Runs", to: `/experiments/${project}/${runs[0].experiment_id}` }] : []),
      ]}
    >
      {error && <ErrorBox problem={error} />}
      {names.length < 2 ? (
        <Empty title="Two runs or more can be compared">Choose them in the runs table.</Empty>
      ) : runs.length < names.length && !error ? (
        <Waiting rows={8} />
      ) : (
        <Stack gap="md">
          <SegmentedControl
            w="fit-content"
            value={view}
            onChange={setView}
            aria-label="View"
            data={[
              { value: "table", label: "Differences" },
              { value: "curves", label: "Curves" },
              { value: "parallel", label: "Parallel coordinates" },
              { value: "scatter", label: "Scatter" },
            ]}
          />
          {view === "table" && <Differences runs={runs} project={project} />}
          {view === "curves" && <Curves runs={runs} project={project} />}
          {view === "parallel" && (
            <Panel>
              <Parallel runs={runs} />
            </Panel>
          )}
          {view === "scatter" && <ScatterView runs={runs} />}
        </Stack>
      )}
    </Page>
  );
}

const union = (sets: string[][]) => [...new Set(sets.flat())].sort();

function Differences({ runs, project }: { runs: Run[]; project: string }) {
  const [only, setOnly] = useUrl("only", "yes");
  const parameters = union(runs.map((run) => Object.keys(run.parameters)));
  const metrics = union(runs.map((run) => Object.keys(run.metrics)));
  const differs = (values: unknown[]) => new Set(values).size > 1;
  const rows = [
    ...parameters.map((name) => ({ kind: "parameter", name, values: runs.map((run) => run.parameters[name] ?? "–") })),
    ...metrics.map((name) => ({ kind: "metric", name, values: runs.map((run) => figure(run.metrics[name])) })),
  ].filter((row) => only !== "yes" || differs(row.values));
  return (
    <Panel
      title="Parameters and metrics"
      actions={
        <Switch
          label="Only what differs"
          checked={only === "yes"}
          onChange={(event) => setOnly(event.currentTarget.checked ? "yes" : "no")}
        />
      }
      pad={0}
    >
      <Table.ScrollContainer minWidth={200 + 140 * runs.length}>
        <Table highlightOnHover>
          <Table.Thead>
            <Table.Tr>
              <Table.Th>Name</Table.Th>
              {runs.map((run) => (
                <Table.Th key={run.id}>
                  <Anchor component={Link} to={`/runs/${project}/${run.id}`} size="sm">
                    {run.name}
                  </Anchor>
                </Table.Th>
              ))}
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {rows.map((row) => (
              <Table.Tr key={`${row.kind}-${row.name}`}>
                <Table.Td>
                  {row.name}{" "}
                  <Badge size="xs" variant="default" tt="none">
                    {row.kind}
                  </Badge>
                </Table.Td>
                {row.values.map((value, at) => (
                  <Table.Td
                    key={runs[at]?.id}
                    fw={differs(row.values) ? 600 : 400}
                    style={{ overflowWrap: "anywhere" }}
                  >
                    {value}
                  </Table.Td>
                ))}
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      </Table.ScrollContainer>
      {rows.length === 0 && (
        <Text p="md" size="sm" c="dimmed">
          They do not differ.
        </Text>
      )}
    </Panel>
  );
}

function Curves({ runs, project }: { runs: Run[]; project: string }) {
  const names = union(runs.map((run) => Object.keys(run.metrics)));
  const [chosen, setChosen] = useUrl("metric", names[0] ?? "");
  const scheme = useComputedColorScheme("light");
  const found = useQueries({
    queries: runs.map((run) => ({
      queryKey: [`/projects/${project}/runs/${run.id}/metrics/${chosen}`, {}],
      queryFn: () =>
        get<MetricPage>(`/projects/${project}/runs/${part(run.id)}/metrics/${chosen.split("/").map(part).join("/")}`, {
          sample: MOST_POINTS,
        }),
      meta: { follows: false },
      enabled: chosen !== "" && chosen in run.metrics,
    })),
  });
  const pages = found.map((each) => each.data);
  const { x, lines } = useMemo(() => {
    const steps = [...new Set(pages.flatMap((page) => page?.items.map((point) => point.step) ?? []))].sort(
      (a, b) => a - b,
    );
    const drawn = runs.map((run, at) => {
      const by = new Map(pages[at]?.items.map((point) => [point.step, point.value]));
      return { label: run.name, values: steps.map((step) => by.get(step) ?? null), color: colorOf(scheme, at) };
    });
    return { x: steps, lines: drawn };
  }, [pages, runs, scheme]);
  if (names.length === 0) return <Empty title="None of them logged a metric" />;
  return (
    <Panel>
      <Stack>
        <Select
          w={260}
          label="Metric"
          data={names}
          value={chosen}
          onChange={(value) => setChosen(value ?? "")}
          allowDeselect={false}
          searchable
        />
        <Chart title={chosen} x={x} lines={lines} isTime={false} say={figure} height={360} spans />
      </Stack>
    </Panel>
  );
}

function ScatterView({ runs }: { runs: Run[] }) {
  const axes = [
    ...union(runs.map((run) => Object.keys(run.metrics))).map((name) => `metrics.${name}`),
    ...union(
      runs.map((run) => Object.keys(run.parameters).filter((name) => Number.isFinite(Number(run.parameters[name])))),
    ).map((name) => `params.${name}`),
  ];
  const [x, setX] = useUrl("x", axes[0] ?? "");
  const [y, setY] = useUrl("y", axes[1] ?? axes[0] ?? "");
  if (axes.length === 0) return <Empty title="None of them logged a number" />;
  return (
    <Panel>
      <SimpleGrid cols={2} maw={540} mb="md">
        <Select label="Across" data={axes} value={x} onChange={(value) => setX(value ?? "")} allowDeselect={false} />
        <Select label="Up" data={axes} value={y} onChange={(value) => setY(value ?? "")} allowDeselect={false} />
      </SimpleGrid>
      <Scatter runs={runs} x={x} y={y} />
    </Panel>
  );
}

import {
  Anchor,
  Box,
  Button,
  Group,
  NumberInput,
  SegmentedControl,
  SimpleGrid,
  Stack,
  Tabs,
  Text,
} from "@mantine/core";
import { useQueries } from "@tanstack/react-query";
import { useMemo, useState } from "react";
import { Link, useParams } from "react-router";
import { get, type Problem, part } from "../../api/client";
import { useGet } from "../../api/hooks";
import type { Run, Schema } from "../../api/types";
import { Copy, Empty, Facts, Figure, Page, Panel, Shown, Time } from "../../parts/Bits";
import { Chart } from "../../parts/Chart";
import { duration, figure } from "../../parts/format";
import { Status } from "../../parts/Status";
import { useUrl } from "../../parts/useUrl";
import { Artifacts } from "./Artifacts";
import { Convert } from "./Convert";
import { chosenOf, MOST_POINTS, rangeOf, stepsOf } from "./curves";
import { Deleted, DeleteRun } from "./DeleteRun";
import { LoggedModels } from "./LoggedModels";
import { Notes } from "./Notes";
import { Pairs } from "./Pairs";
import { RunTags } from "./RunTags";

type MetricPage = Schema<"MetricPage">;
const MOST_CURVES = 12;
/** The curves of a run that goes on are looked at again so often. */
const GROWS_MS = 15_000;
const OVER_MS = 600_000;

export default function RunPage() {
  const { project = "", run = "" } = useParams();
  const base = `/projects/${project}/runs/${part(run)}`;
  const found = useGet<Run>(base);
  const logged = useGet<Schema<"LoggedModelList">>(`${base}/logged-models`);
  const [tab, setTab] = useUrl("tab", "overview");
  const name = found.data?.name || run;
  return (
    <Page
      title={
        <Group gap="sm">
          {name}
          {found.data && <Status word={found.data.status} />}
        </Group>
      }
      crumbs={[
        { label: "Experiments", to: `/experiments?project=${project}` },
        ...(found.data ? [{ label: "Runs", to: `/experiments/${project}/${found.data.experiment_id}` }] : []),
      ]}
      actions={
        found.data &&
        !found.data.is_deleted && (
          <>
            <DeleteRun base={base} run={found.data} list={`/experiments/${project}/${found.data.experiment_id}`} />
            <Convert project={project} run={run} runName={name} logged={logged.data} />
          </>
        )
      }
    >
      <Shown of={found}>
        {(data) => (
          <>
            {data.is_deleted && <Deleted base={base} />}
            <Tabs value={tab} onChange={(value) => setTab(value ?? "overview")}>
              <Tabs.List mb="md">
                <Tabs.Tab value="overview">Overview</Tabs.Tab>
                <Tabs.Tab value="curves">Curves</Tabs.Tab>
                <Tabs.Tab value="artifacts">Artifacts</Tabs.Tab>
                <Tabs.Tab value="tags">Tags</Tabs.Tab>
              </Tabs.List>
              <Tabs.Panel value="overview">
                <Overview base={base} run={data} project={project} logged={logged.data} />
              </Tabs.Panel>
              <Tabs.Panel value="curves">
                <Curves base={base} names={Object.keys(data.metrics)} isRunning={data.status === "RUNNING"} />
              </Tabs.Panel>
              <Tabs.Panel value="artifacts">
                <Artifacts base={base} />
              </Tabs.Panel>
              <Tabs.Panel value="tags">
                <RunTags base={base} run={data} />
              </Tabs.Panel>
            </Tabs>
          </>
        )}
      </Shown>
    </Page>
  );
}

function Overview({
  base,
  run,
  project,
  logged,
}: {
  base: string;
  run: Run;
  project: string;
  logged: Schema<"LoggedModelList"> | undefined;
}) {
  const took = run.started_at && run.ended_at ? (Date.parse(run.ended_at) - Date.parse(run.started_at)) / 1000 : null;
  return (
    <Stack gap="md">
      <Panel>
        <Facts
          isWide
          of={[
            [
              "Run",
              <Group key="id" gap={4} wrap="nowrap">
                <Text span fz={12} ff="monospace" truncate title={run.id}>
                  {run.id}
                </Text>
                <Copy text={run.id} label="Copy the run's id" />
              </Group>,
            ],
            ["User", run.user || "–"],
            ["Started", <Time key="at" at={run.started_at} />],
            ["Duration", duration(took)],
            [
              "Logged models",
              logged
                ? logged.items
                    .map(
                      (model) =>
                        `${model.name} (${model.flavors.filter((flavor) => flavor !== "python_function").join(", ") || "pyfunc"})`,
                    )
                    .join(", ") || "none"
                : "…",
            ],
            [
              "Model versions made of it",
              logged?.versions.length
                ? logged.versions.map((uri) => <VersionLink key={uri} project={project} uri={uri} />)
                : "none yet",
            ],
          ]}
        />
      </Panel>
      <Notes base={base} run={run} />
      <SimpleGrid cols={{ base: 1, md: 2 }} spacing="md">
        <Panel title={`Metrics (${Object.keys(run.metrics).length})`} pad={0}>
          <Pairs
            of={Object.entries(run.metrics).map(([name, value]) => [name, figure(value)])}
            empty="No metrics were logged."
            numbers
          />
        </Panel>
        <Panel title={`Parameters (${Object.keys(run.parameters).length})`} pad={0}>
          <Pairs of={Object.entries(run.parameters)} empty="No parameters were logged." />
        </Panel>
      </SimpleGrid>
      {logged && <LoggedModels project={project} run={run.id} of={logged.items} />}
    </Stack>
  );
}

function VersionLink({ project, uri }: { project: string; uri: string }) {
  const [model = "", version = ""] = uri.split("/");
  return (
    <Box key={uri}>
      <Anchor component={Link} to={`/models/${project}/${model}/${version}`} size="sm">
        {model} / {version}
      </Anchor>
    </Box>
  );
}

function Curves({ base, names, isRunning }: { base: string; names: string[]; isRunning: boolean }) {
  const [axis, setAxis] = useUrl("x", "step");
  const [range, setRange] = useUrl("steps");
  const { from, until } = stepsOf(range);
  const query = { sample: MOST_POINTS, from_step: from, until_step: until };
  const shown = names.slice(0, MOST_CURVES);
  const found = useQueries({
    queries: shown.map((name) => ({
      queryKey: [`${base}/metrics/${name}`, query],
      queryFn: () => get<MetricPage>(`${base}/metrics/${name.split("/").map(part).join("/")}`, query),
      placeholderData: (before: MetricPage | undefined) => before,
      // To choose from a long curve takes MLflow seconds; one that is over stays as it is.
      meta: { follows: false },
      staleTime: isRunning ? GROWS_MS : OVER_MS,
      refetchInterval: isRunning ? GROWS_MS : (false as const),
    })),
  });
  if (names.length === 0) return <Empty title="No metrics were logged" />;
  return (
    <Stack gap="md">
      <Group align="flex-end">
        <SegmentedControl
          value={axis}
          onChange={setAxis}
          data={[
            { value: "step", label: "Step" },
            { value: "time", label: "Time" },
          ]}
          aria-label="Horizontal axis"
        />
        <Steps key={range} from={from} until={until} choose={setRange} />
      </Group>
      <SimpleGrid cols={{ base: 1, md: 2, xl: 3 }}>
        {shown.map((name, number) => (
          <Shown
            key={name}
            of={found[number] as { data: MetricPage | undefined; error: Problem | null; isPending: boolean }}
          >
            {(page) => (
              <Curve
                name={name}
                page={page}
                isTime={axis === "time"}
                zoom={axis === "step" ? (low, high) => setRange(rangeOf(low, high)) : undefined}
              />
            )}
          </Shown>
        ))}
      </SimpleGrid>
      {names.length > MOST_CURVES && (
        <Text size="xs" c="dimmed">
          The first {MOST_CURVES} of {names.length} metrics.
        </Text>
      )}
    </Stack>
  );
}

/** From which step until which the curves are drawn; dragging over a curve says the same. */
function Steps({ from, until, choose }: { from?: string; until?: string; choose: (range: string) => void }) {
  const [low, setLow] = useState<number | string>(from ?? "");
  const [high, setHigh] = useState<number | string>(until ?? "");
  return (
    <Group gap="xs" align="flex-end">
      <NumberInput label="From step" size="xs" w={110} allowDecimal={false} value={low} onChange={setLow} />
      <NumberInput label="Until step" size="xs" w={110} allowDecimal={false} value={high} onChange={setHigh} />
      <Button
        size="xs"
        variant="default"
        disabled={low === "" || high === "" || Number(low) > Number(high)}
        onClick={() => choose(`${low}~${high}`)}
      >
        Show these
      </Button>
      {from !== undefined && (
        <Button size="xs" variant="subtle" onClick={() => choose("")}>
          All steps
        </Button>
      )}
    </Group>
  );
}

function Curve({
  name,
  page,
  isTime,
  zoom,
}: {
  name: string;
  page: MetricPage;
  isTime: boolean;
  zoom?: (low: number, high: number) => void;
}) {
  const { x, lines } = useMemo(
    () => ({
      x: page.items.map((point) => (isTime ? Date.parse(point.at) / 1000 : point.step)),
      lines: [{ label: name, values: page.items.map((point) => point.value) }],
    }),
    [page, name, isTime],
  );
  const chosen = chosenOf(page.items);
  if (page.items.length === 1) {
    return (
      <Figure label={name} value={figure(page.items[0]?.value)} hint={`logged once, at step ${page.items[0]?.step}`} />
    );
  }
  return (
    <Panel>
      <Chart title={name} x={x} lines={lines} isTime={isTime} say={figure} zoom={zoom} />
      {chosen && (
        <Text size="xs" c="dimmed">
          {chosen}
          {zoom ? "; drag over the curve to see it finer." : "."}
        </Text>
      )}
    </Panel>
  );
}

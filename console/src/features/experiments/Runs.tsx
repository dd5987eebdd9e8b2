import { Button, Group, Menu, MultiSelect, Select, Text } from "@mantine/core";
import { useThrottledValue } from "@mantine/hooks";
import { IconColumns, IconGitCompare } from "@tabler/icons-react";
import { useInfiniteQuery } from "@tanstack/react-query";
import { useEffect, useMemo, useRef, useState } from "react";
import { useNavigate, useParams } from "react-router";
import { get, type Problem } from "../../api/client";
import { useGet } from "../../api/hooks";
import type { Schema } from "../../api/types";
import { Empty, ErrorBox, Page, Waiting } from "../../parts/Bits";
import { counted } from "../../parts/format";
import { useUrl } from "../../parts/useUrl";
import { columnsOf, whereOf } from "./columns";
import { knownOf } from "./filter/completion";
import { FilterInput } from "./filter/FilterInput";
import { tokensOf } from "./filter/tokens";
import { Grid, seenRows } from "./Grid";

type RunPage = Schema<"RunPage">;
/** As long as no more than the first runs are seen, they are looked at again: MLflow does not say that one began. */
const AGAIN_MS = 10_000;
const PAGE_SIZE = 60;
/** What is pasted or chosen is asked for at once; of what is typed, the newest in each such time. */
const SETTLES_MS = 80;
const NEWEST = 200;
/** MLflow's own words. */
const STATES = ["RUNNING", "SCHEDULED", "FINISHED", "FAILED", "KILLED"];

export default function Runs() {
  const { project = "", experiment = "" } = useParams();
  const [filter, setFilter] = useUrl("filter");
  const [state, setState] = useUrl("state");
  const [order, setOrder] = useUrl("order");
  const [hidden, setHidden] = useUrl("hide");
  const [typed, setTyped] = useState(filter);
  const settled = useThrottledValue(typed, SETTLES_MS);
  useEffect(() => {
    if (!tokensOf(settled).some((token) => token.mistake)) setFilter(settled);
  }, [settled, setFilter]);
  const experiments = useGet<Schema<"ExperimentPage">>(`/projects/${project}/experiments`, { query: { limit: 200 } });
  const name = experiments.data?.items.find((each) => each.id === experiment)?.name ?? experiment;
  const where = whereOf(filter, state);
  const found = useInfiniteQuery<RunPage, Problem>({
    queryKey: [`/projects/${project}/runs`, { experiment, where, order }],
    queryFn: ({ pageParam }) =>
      get<RunPage>(`/projects/${project}/runs`, {
        experiment,
        filter: where,
        order_by: order,
        // What is seen at first comes at once: with a hundred columns MLflow takes some milliseconds a run.
        limit: pageParam ? PAGE_SIZE : seenRows(window.innerHeight),
        cursor: pageParam as string,
      }),
    initialPageParam: "",
    getNextPageParam: (last) => last.next_cursor ?? undefined,
    placeholderData: (before) => before,
    enabled: project !== "",
    // Deployments have no part in it: what happens to them would ask MLflow for all of these pages again.
    meta: { follows: false },
    refetchInterval: (query) => (query.state.data?.pages.length === 1 ? AGAIN_MS : false),
  });
  // Names and values that are offered: those of the newest runs, whatever the filter leaves of them.
  const [hasLooked, setHasLooked] = useState(false);
  const newest = useGet<RunPage>(`/projects/${project}/runs`, {
    query: { experiment, limit: NEWEST },
    enabled: hasLooked && project !== "",
  });
  const known = useMemo(() => knownOf(newest.data?.items ?? []), [newest.data]);
  const place = found.error?.places.filter;
  const indent = typed.length - typed.trimStart().length;
  const isAsked = filter !== "" && typed === filter;
  // A filter that is refused leaves what the one before it found.
  const last = useRef(found.data);
  useEffect(() => {
    if (found.data) last.current = found.data;
  }, [found.data]);
  const data = found.data ?? (filter && found.error ? last.current : undefined);
  const runs = useMemo(() => data?.pages.flatMap((page) => page.items) ?? [], [data]);
  const columns = useMemo(() => columnsOf(runs), [runs]);
  const hides = useMemo(() => new Set(hidden.split(",").filter(Boolean)), [hidden]);
  const shown = useMemo(() => columns.filter((column) => !hides.has(column.key)), [columns, hides]);
  const [chosen, setChosen] = useState<Set<string>>(new Set());
  const go = useNavigate();
  const choose = (id: string) =>
    setChosen((before) => {
      const next = new Set(before);
      if (!next.delete(id)) next.add(id);
      return next;
    });
  return (
    <Page
      title={name}
      crumbs={[{ label: "Experiments", to: `/experiments?project=${project}` }]}
      actions={
        <Button
          leftSection={<IconGitCompare size={14} />}
          disabled={chosen.size < 2}
          onClick={() => go(`/runs/${project}/compare?runs=${[...chosen].join(",")}`)}
        >
          Compare {chosen.size > 1 ? chosen.size : ""}
        </Button>
      }
    >
      <Group gap="xs" align="flex-start">
        <FilterInput
          value={typed}
          onChange={setTyped}
          onFocus={() => setHasLooked(true)}
          known={known}
          place={isAsked && place ? { begin: place[0] + indent, end: place[1] + indent } : undefined}
          error={isAsked && found.error ? `${found.error.message} ${found.error.hint}` : undefined}
        />
        <Select
          w={150}
          aria-label="State"
          value={state}
          onChange={(value) => setState(value ?? "")}
          allowDeselect={false}
          data={[{ value: "", label: "Any state" }, ...STATES]}
        />
        <Menu position="bottom-end" closeOnItemClick={false} width={320}>
          <Menu.Target>
            <Button variant="default" leftSection={<IconColumns size={14} />}>
              Columns
            </Button>
          </Menu.Target>
          <Menu.Dropdown p="sm">
            <MultiSelect
              label="Hidden columns"
              searchable
              clearable
              value={[...hides]}
              onChange={(values) => setHidden(values.join(","))}
              comboboxProps={{ withinPortal: false }}
              data={(["meta", "metrics", "params"] as const).map((group) => ({
                group: { meta: "META DATA", metrics: "METRICS", params: "PARAMETERS" }[group],
                items: columns
                  .filter((column) => column.group === group)
                  .map((column) => ({ value: column.key, label: column.label })),
              }))}
            />
          </Menu.Dropdown>
        </Menu>
      </Group>
      {found.isPending && <Waiting rows={8} />}
      {found.error && !filter && <ErrorBox problem={found.error} />}
      {found.data && runs.length === 0 && (
        <Empty title={where ? "No run fits the filter" : "No runs yet"}>
          {where
            ? "Names are metrics.…, params.…, tags.… and attributes.…; texts stand in 'single quotes'."
            : "A run appears as soon as MLflow begins it."}
        </Empty>
      )}
      {runs.length > 0 && (
        <Grid
          runs={runs}
          columns={shown}
          project={project}
          order={order}
          setOrder={setOrder}
          chosen={chosen}
          choose={choose}
          more={() => found.hasNextPage && !found.isFetchingNextPage && found.fetchNextPage()}
        />
      )}
      <Text size="xs" c="dimmed">
        {counted(runs.length, "run")}
        {found.hasNextPage ? ", more as you scroll" : ""}
      </Text>
    </Page>
  );
}

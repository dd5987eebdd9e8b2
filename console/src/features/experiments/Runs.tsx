import { Anchor, Button, Checkbox, Group, Menu, MultiSelect, Select, Text, UnstyledButton } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { IconArrowDown, IconArrowUp, IconColumns, IconGitCompare } from "@tabler/icons-react";
import { useInfiniteQuery } from "@tanstack/react-query";
import { useVirtualizer } from "@tanstack/react-virtual";
import { useEffect, useMemo, useRef, useState } from "react";
import { Link, useNavigate, useParams } from "react-router";
import { get, type Problem } from "../../api/client";
import { useGet } from "../../api/hooks";
import type { Run, Schema } from "../../api/types";
import { Empty, ErrorBox, Page, Waiting } from "../../parts/Bits";
import { counted } from "../../parts/format";
import { Status } from "../../parts/Status";
import { useUrl } from "../../parts/useUrl";
import { type Column, columnsOf, groupsOf, whereOf } from "./columns";
import { knownOf } from "./filter/completion";
import { FilterInput } from "./filter/FilterInput";
import { tokensOf } from "./filter/tokens";

type RunPage = Schema<"RunPage">;
const ROW = 34;
/** What is seen at first comes at once: with a hundred columns MLflow takes some milliseconds a run. */
const FIRST_PAGE = 20;
const PAGE_SIZE = 60;
const NEWEST = 200;
/** MLflow's own words. */
const STATES = ["RUNNING", "SCHEDULED", "FINISHED", "FAILED", "KILLED"];
/** More is asked for when so few rows are left below. */
const AHEAD = 10;
const FIRST = 36 + 210 + 112;

export default function Runs() {
  const { project = "", experiment = "" } = useParams();
  const [filter, setFilter] = useUrl("filter");
  const [state, setState] = useUrl("state");
  const [order, setOrder] = useUrl("order");
  const [hidden, setHidden] = useUrl("hide");
  const [typed, setTyped] = useState(filter);
  const [settled] = useDebouncedValue(typed, 60);
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
        limit: pageParam ? PAGE_SIZE : FIRST_PAGE,
        cursor: pageParam as string,
      }),
    initialPageParam: "",
    getNextPageParam: (last) => last.next_cursor ?? undefined,
    placeholderData: (before) => before,
    enabled: project !== "",
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
  const shown = columns.filter((column) => !hides.has(column.key));
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

function Grid({
  runs,
  columns,
  project,
  order,
  setOrder,
  chosen,
  choose,
  more,
}: {
  runs: Run[];
  columns: Column[];
  project: string;
  order: string;
  setOrder: (order: string) => void;
  chosen: Set<string>;
  choose: (id: string) => void;
  more: () => void;
}) {
  const place = useRef<HTMLDivElement>(null);
  const rows = useVirtualizer({
    count: runs.length,
    getScrollElement: () => place.current,
    estimateSize: () => ROW,
    overscan: 4,
  });
  const items = rows.getVirtualItems();
  const last = items.at(-1)?.index ?? 0;
  useEffect(() => {
    if (last >= runs.length - 1 - AHEAD) more();
  }, [last, runs.length, more]);
  const [sorted, direction] = order.split(" ");
  return (
    <div ref={place} className="grid-table" role="table" aria-rowcount={runs.length}>
      <div className="head groups" aria-hidden>
        {groupsOf(columns, FIRST).map(({ label, width }) => (
          <div key={label} className="cell" style={{ width }}>
            {label}
          </div>
        ))}
      </div>
      <div className="head" role="row">
        <div className="cell pinned" style={{ width: 36 }} role="columnheader" aria-label="Chosen" />
        <div className="cell pinned second" style={{ width: 210 }} role="columnheader">
          Run
        </div>
        <div className="cell" style={{ width: 112 }} role="columnheader">
          Status
        </div>
        {columns.map((column) => (
          <div
            key={column.key}
            className={`cell ${column.isNumber ? "number" : ""}`}
            style={{ width: column.width }}
            role="columnheader"
            title={column.key}
            aria-sort={
              sorted === column.order && column.order ? (direction === "DESC" ? "descending" : "ascending") : undefined
            }
          >
            {column.order ? (
              <UnstyledButton
                fz={12}
                fw={600}
                onClick={() =>
                  setOrder(
                    sorted === column.order && direction === "DESC" ? `${column.order} ASC` : `${column.order} DESC`,
                  )
                }
              >
                {column.label}
                {sorted === column.order &&
                  (direction === "DESC" ? <IconArrowDown size={12} /> : <IconArrowUp size={12} />)}
              </UnstyledButton>
            ) : (
              column.label
            )}
          </div>
        ))}
      </div>
      <div style={{ height: rows.getTotalSize(), position: "relative", minWidth: "max-content" }} role="rowgroup">
        {items.map((item) => {
          const run = runs[item.index];
          if (!run) return null;
          return (
            <div
              key={run.id}
              className="row"
              role="row"
              aria-rowindex={item.index + 1}
              style={{ position: "absolute", top: 0, transform: `translateY(${item.start}px)`, height: ROW }}
            >
              <div className="cell pinned" style={{ width: 36 }} role="cell">
                <Checkbox
                  aria-label={`Choose ${run.name}`}
                  checked={chosen.has(run.id)}
                  onChange={() => choose(run.id)}
                />
              </div>
              <div className="cell pinned second" style={{ width: 210 }} role="cell">
                <Anchor component={Link} to={`/runs/${project}/${run.id}`} size="sm">
                  {run.name || run.id}
                </Anchor>
              </div>
              <div className="cell" style={{ width: 112 }} role="cell">
                <Status word={run.status} />
              </div>
              {columns.map((column) => (
                <div
                  key={column.key}
                  className={`cell ${column.isNumber ? "number" : ""}`}
                  style={{ width: column.width }}
                  role="cell"
                >
                  {column.show(run)}
                </div>
              ))}
            </div>
          );
        })}
      </div>
    </div>
  );
}

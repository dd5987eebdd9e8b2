import { Anchor, Checkbox, UnstyledButton } from "@mantine/core";
import { IconArrowDown, IconArrowUp } from "@tabler/icons-react";
import { useVirtualizer } from "@tanstack/react-virtual";
import { useCallback, useEffect, useRef } from "react";
import { Link } from "react-router";
import type { Run } from "../../api/types";
import { Status } from "../../parts/Status";
import { type Column, groupsOf } from "./columns";

const ROW = 34;
/** As in the style sheet: a part of the window's height, and never more than so many pixels. */
const HEIGHT = { share: 0.68, most: 720 };
/** More is asked for when so few rows are left below. */
const AHEAD = 10;
/** Who has not moved down yet may be typing another filter, which is answered sooner while nothing else is asked for. */
const UNMOVED_MS = 300;
/** What stands before all columns: the choice, the name and the status. */
const PINNED = 3;
const FIRST = 36 + 210 + 112;

/** How many rows are seen at once in a window of this height. */
export const seenRows = (height: number) => Math.ceil(Math.min(height * HEIGHT.share, HEIGHT.most) / ROW);

/** The runs as a table of which only what is seen stands in the document: rows as well as columns. */
export function Grid({
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
  // Another one has the columns laid out anew.
  const keyOf = useCallback((at: number) => columns[at]?.key ?? at, [columns]);
  const across = useVirtualizer({
    count: columns.length,
    horizontal: true,
    getScrollElement: () => place.current,
    estimateSize: (at) => columns[at]?.width ?? 0,
    getItemKey: keyOf,
    paddingStart: FIRST,
    overscan: 3,
  });
  const seen = across.getVirtualItems();
  const before = (seen[0]?.start ?? FIRST) - FIRST;
  const after = Math.max(0, across.getTotalSize() - (seen.at(-1)?.end ?? FIRST));
  const shown = seen.flatMap(({ index }) => columns.slice(index, index + 1).map((column) => ({ column, index })));
  const items = rows.getVirtualItems();
  const last = items.at(-1)?.index ?? 0;
  const wants = useRef(more);
  wants.current = more;
  useEffect(() => {
    if (last < runs.length - 1 - AHEAD) return;
    const timer = setTimeout(() => wants.current(), place.current?.scrollTop ? 0 : UNMOVED_MS);
    return () => clearTimeout(timer);
  }, [last, runs]);
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
        <div style={{ flex: "none", width: before }} />
        {shown.map(({ column, index }) => (
          <div
            key={column.key}
            className={`cell ${column.isNumber ? "number" : ""}`}
            style={{ width: column.width }}
            role="columnheader"
            aria-colindex={index + PINNED + 1}
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
        <div style={{ flex: "none", width: after }} />
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
              <div style={{ flex: "none", width: before }} />
              {shown.map(({ column, index }) => (
                <div
                  key={column.key}
                  className={`cell ${column.isNumber ? "number" : ""}`}
                  style={{ width: column.width }}
                  role="cell"
                  aria-colindex={index + PINNED + 1}
                >
                  {column.show(run)}
                </div>
              ))}
              <div style={{ flex: "none", width: after }} />
            </div>
          );
        })}
      </div>
    </div>
  );
}

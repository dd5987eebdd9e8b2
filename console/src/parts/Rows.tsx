import { Table } from "@mantine/core";
import type { ReactNode } from "react";

export interface Column<T> {
  /** What stands above it; empty for what can be done with a row. */
  label: string;
  cell: (item: T) => ReactNode;
  isNumber?: boolean;
}

/** A table of things, one a row; where it is too narrow for them it moves sideways. */
export function Rows<T>({
  of,
  columns,
  keyOf,
  minWidth = 560,
  isFaded,
}: {
  of: T[];
  columns: Column<T>[];
  keyOf: (item: T) => string;
  minWidth?: number;
  isFaded?: (item: T) => boolean;
}) {
  return (
    <Table.ScrollContainer minWidth={minWidth}>
      <Table>
        <Table.Thead>
          <Table.Tr>
            {columns.map(({ label, isNumber }) =>
              label ? (
                <Table.Th key={label} className={isNumber ? "num" : undefined}>
                  {label}
                </Table.Th>
              ) : (
                <Table.Td key={label} />
              ),
            )}
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {of.map((item) => (
            <Table.Tr key={keyOf(item)} opacity={isFaded?.(item) ? 0.6 : 1}>
              {columns.map(({ label, cell, isNumber }) => (
                <Table.Td
                  key={label}
                  className={isNumber ? "num" : undefined}
                  ta={label ? undefined : "right"}
                  style={{ overflowWrap: "anywhere" }}
                >
                  {cell(item)}
                </Table.Td>
              ))}
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </Table.ScrollContainer>
  );
}

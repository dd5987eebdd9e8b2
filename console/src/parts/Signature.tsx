import { Table } from "@mantine/core";
import type { Schema } from "../api/types";

interface SignatureColumn {
  name?: string;
  type?: string;
  required?: boolean;
  "tensor-spec"?: { dtype: string; shape: number[] };
}

/** What goes in and what comes out, column by column. */
export function Signature({ of: signature }: { of: Schema<"SignatureOut"> | null }) {
  const sides: [string, SignatureColumn[]][] = [
    ["Input", listOf(signature?.inputs)],
    ["Output", listOf(signature?.outputs)],
    ["Parameter", listOf(signature?.params)],
  ];
  return (
    <Table.ScrollContainer minWidth={360} mah={360}>
      <Table>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>Side</Table.Th>
            <Table.Th>Column</Table.Th>
            <Table.Th>Type</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {sides.flatMap(([side, columns]) =>
            columns.map((column, at) => (
              <Table.Tr key={`${side}-${column.name ?? at}`}>
                <Table.Td c="dimmed">{side}</Table.Td>
                <Table.Td>{column.name ?? (columns.length > 1 ? at : "–")}</Table.Td>
                <Table.Td>
                  {column["tensor-spec"]
                    ? `${column["tensor-spec"].dtype} [${column["tensor-spec"].shape.map((size) => (size === -1 ? "n" : size)).join(" × ")}]`
                    : column.type}
                  {column.required === false ? ", may be missing" : ""}
                </Table.Td>
              </Table.Tr>
            )),
          )}
        </Table.Tbody>
      </Table>
    </Table.ScrollContainer>
  );
}

const listOf = (value: unknown): SignatureColumn[] => (Array.isArray(value) ? (value as SignatureColumn[]) : []);

import {
  Alert,
  Box,
  Button,
  Code,
  Group,
  SegmentedControl,
  SimpleGrid,
  Stack,
  Table,
  Text,
  Textarea,
  TextInput,
} from "@mantine/core";
import { IconPlayerPlay } from "@tabler/icons-react";
import { useMutation } from "@tanstack/react-query";
import { useEffect, useMemo, useState } from "react";
import { type Problem, send } from "../../api/client";
import { useGet } from "../../api/hooks";
import type { Schema } from "../../api/types";
import { Empty, ErrorBox, Panel, Waiting } from "../Bits";
import { milliseconds } from "../format";
import { useUrl } from "../useUrl";
import { type Contract, contractOf, readValue, refusalOf, tableOf } from "./contract";

type Tried = Schema<"TryOut">;

/** A form from the contract, or JSON, or CSV; the answer as a table. `base` is the deployment's path in the API. */
export function TryIt({ base, isAvailable }: { base: string; isAvailable: boolean }) {
  const found = useGet<unknown>(`${base}/endpoint`, { enabled: isAvailable });
  if (!isAvailable)
    return <Empty title="It can be tried when it is ON">Its form comes from the model's signature.</Empty>;
  if (found.error) return <ErrorBox problem={found.error} />;
  if (found.data === undefined) return <Waiting />;
  return <Form base={base} contract={contractOf(found.data)} />;
}

const MOST_ROWS = 100;

function Form({ base, contract }: { base: string; contract: Contract }) {
  const hasForm = contract.fields.length > 0;
  const [way, setWay] = useUrl("way", hasForm ? "form" : "json");
  const [values, setValues] = useState<Record<string, string>>({});
  const [text, setText] = useState("");
  const example = contract.rows[0];
  const loadExample = useMemo(
    () => () => {
      setValues(Object.fromEntries(contract.fields.map((field) => [field.name, wordOf(example?.[field.name])])));
      setText(way === "csv" ? csvOf(contract) : JSON.stringify(contract.example ?? { inputs: [] }, null, 2));
    },
    [contract, example, way],
  );
  // The document is asked for again and again; only another way of asking begins anew.
  // biome-ignore lint/correctness/useExhaustiveDependencies: as the comment says
  useEffect(loadExample, [way]);
  const ask = useMutation<Tried, Problem>({
    mutationFn: () => {
      const record = Object.fromEntries(
        contract.fields.map((field) => [field.name, readValue(values[field.name] ?? "", field.kind)]),
      );
      const raw =
        way === "form"
          ? { text: JSON.stringify({ dataframe_records: [record] }), type: "application/json" }
          : { text, type: way === "csv" ? "text/csv" : "application/json" };
      return send<Tried>("POST", `${base}/invocations`, { raw });
    },
  });
  const refusal = ask.data && ask.data.status !== 200 ? refusalOf(ask.data.body) : null;
  return (
    <SimpleGrid cols={{ base: 1, lg: 2 }} spacing="md">
      <Panel
        title="Request"
        actions={
          <SegmentedControl
            value={way}
            onChange={setWay}
            aria-label="Way of asking"
            data={[
              ...(hasForm ? [{ value: "form", label: "Form" }] : []),
              { value: "json", label: "JSON" },
              ...(hasForm ? [{ value: "csv", label: "CSV" }] : []),
            ]}
          />
        }
      >
        <form
          onSubmit={(event) => {
            event.preventDefault();
            ask.mutate();
          }}
        >
          <Stack gap="sm">
            {way === "form" ? (
              <SimpleGrid cols={{ base: 1, sm: 2 }} spacing="xs" verticalSpacing="xs">
                {contract.fields.map((field) => (
                  <TextInput
                    key={field.name}
                    label={field.name}
                    description={
                      field.kind === "other" ? "JSON" : field.kind + (field.isRequired ? "" : ", may be left out")
                    }
                    inputWrapperOrder={["label", "input", "description"]}
                    value={values[field.name] ?? ""}
                    error={refusal?.column === field.name ? refusal.message : undefined}
                    onChange={(event) => setValues({ ...values, [field.name]: event.currentTarget.value })}
                  />
                ))}
              </SimpleGrid>
            ) : (
              <Textarea
                aria-label="Body of the request"
                value={text}
                onChange={(event) => setText(event.currentTarget.value)}
                autosize
                minRows={12}
                maxRows={26}
                styles={{ input: { fontFamily: "var(--mantine-font-family-monospace)", fontSize: 12 } }}
              />
            )}
            <Group justify="space-between">
              <Button variant="default" onClick={loadExample} disabled={!contract.example}>
                Input example
              </Button>
              <Button type="submit" leftSection={<IconPlayerPlay size={14} />} loading={ask.isPending}>
                Predict
              </Button>
            </Group>
          </Stack>
        </form>
      </Panel>
      <Panel title="Answer">
        {ask.error ? (
          <ErrorBox problem={ask.error} />
        ) : ask.data ? (
          <Answer of={ask.data} />
        ) : (
          <Text size="sm" c="dimmed">
            Press Predict.
          </Text>
        )}
      </Panel>
    </SimpleGrid>
  );
}

function Answer({ of }: { of: Tried }) {
  const table = of.status === 200 ? tableOf(of.body) : null;
  return (
    <Stack gap="sm" role="status">
      <Text size="sm" c="dimmed">
        {of.status} in {milliseconds(of.milliseconds)} from pod {of.pod} of revision {of.revision}
      </Text>
      {of.status !== 200 ? (
        <Alert color="red" title={refusalOf(of.body).message}>
          {refusalOf(of.body).hint}
        </Alert>
      ) : table ? (
        <Table.ScrollContainer minWidth={160} mah={480} scrollAreaProps={{ viewportProps: { tabIndex: 0 } }}>
          <Table striped withTableBorder>
            <Table.Thead>
              <Table.Tr>
                <Table.Th>Row</Table.Th>
                {table.columns.map((name) => (
                  <Table.Th key={name} className="num">
                    {name}
                  </Table.Th>
                ))}
              </Table.Tr>
            </Table.Thead>
            <Table.Tbody>
              {table.rows.slice(0, MOST_ROWS).map((row, at) => (
                // biome-ignore lint/suspicious/noArrayIndexKey: rows have no other name than their place
                <Table.Tr key={at}>
                  <Table.Td>{at + 1}</Table.Td>
                  {row.map((cell, column) => (
                    <Table.Td key={table.columns[column]} className="num">
                      {cell}
                    </Table.Td>
                  ))}
                </Table.Tr>
              ))}
            </Table.Tbody>
          </Table>
        </Table.ScrollContainer>
      ) : (
        <Box mah={480} style={{ overflow: "auto" }} tabIndex={0}>
          <Code block>{of.body}</Code>
        </Box>
      )}
    </Stack>
  );
}

const wordOf = (value: unknown) =>
  value === null || value === undefined ? "" : typeof value === "object" ? JSON.stringify(value) : String(value);

function csvOf(contract: Contract): string {
  const cell = (value: unknown) => {
    const word = wordOf(value);
    return /[",\n]/.test(word) ? `"${word.replaceAll('"', '""')}"` : word;
  };
  const names = contract.fields.map((field) => field.name);
  return [
    names.map(cell).join(","),
    ...contract.rows.map((row) => names.map((name) => cell(row[name])).join(",")),
  ].join("\n");
}

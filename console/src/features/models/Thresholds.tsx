import { ActionIcon, Button, Group, NumberInput, Select, Stack, Text, TextInput } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { IconTrash } from "@tabler/icons-react";
import { useState } from "react";
import { useAct, useGet } from "../../api/hooks";
import type { Schema } from "../../api/types";
import { ErrorBox, Guarded, Panel, Shown } from "../../parts/Bits";

type Threshold = Schema<"ThresholdIn">;
type ThresholdList = Schema<"ThresholdList">;

/** What the metrics of this model's runs must reach before a version goes to production. */
export function Thresholds({ project, model, may }: { project: string; model: string; may: Schema<"ActionOut"> }) {
  const path = `/projects/${project}/models/${model}/thresholds`;
  const found = useGet<ThresholdList>(path);
  return (
    <Panel title="Thresholds for production">
      <Shown of={found}>
        {({ items }) => <Form key={JSON.stringify(items)} path={path} present={items} may={may} />}
      </Shown>
    </Panel>
  );
}

function Form({ path, present, may }: { path: string; present: Threshold[]; may: Schema<"ActionOut"> }) {
  const [rows, setRows] = useState(present.map((each, index) => ({ ...each, key: index })));
  const act = useAct<ThresholdList>();
  const set = (key: number, change: Partial<Threshold>) =>
    setRows(rows.map((row) => (row.key === key ? { ...row, ...change } : row)));
  const wanted = rows.map(({ metric, bound, value }) => ({ metric, bound, value }));
  const isChanged = JSON.stringify(wanted) !== JSON.stringify(present);
  const save = () =>
    act.mutate(
      { method: "PUT", path, body: { thresholds: wanted } },
      { onSuccess: () => notifications.show({ message: "The next promotion looks at these.", color: "teal" }) },
    );
  return (
    <Stack gap="sm">
      <Text size="sm" c="dimmed">
        They hold for all versions of the model. A promotion looks at the run's metrics, as they were when it was
        converted.
      </Text>
      {rows.map((row) => (
        <Group key={row.key} gap="xs" wrap="nowrap">
          <TextInput
            aria-label="Metric"
            placeholder="auc"
            value={row.metric}
            onChange={(event) => set(row.key, { metric: event.currentTarget.value })}
            style={{ flex: 1 }}
          />
          <Select
            aria-label="Bound"
            w={110}
            data={[
              { value: ">=", label: "at least" },
              { value: "<=", label: "at most" },
            ]}
            value={row.bound}
            onChange={(value) => set(row.key, { bound: value === "<=" ? "<=" : ">=" })}
            allowDeselect={false}
          />
          <NumberInput
            aria-label="Value"
            w={120}
            value={row.value}
            onChange={(value) => set(row.key, { value: Number(value) })}
          />
          <ActionIcon
            aria-label={`Remove the threshold of ${row.metric || "no metric"}`}
            variant="subtle"
            color="gray"
            onClick={() => setRows(rows.filter((each) => each.key !== row.key))}
          >
            <IconTrash size={16} />
          </ActionIcon>
        </Group>
      ))}
      <ErrorBox problem={act.error} />
      <Group>
        <Button
          variant="default"
          onClick={() =>
            setRows([
              ...rows,
              { metric: "", bound: ">=", value: 0, key: 1 + Math.max(-1, ...rows.map((row) => row.key)) },
            ])
          }
        >
          Add a threshold
        </Button>
        <Guarded
          label="Save"
          allowed={may.allowed && isChanged}
          reason={may.allowed ? "Nothing is changed yet." : may.reason}
          loading={act.isPending}
          onClick={save}
        />
      </Group>
    </Stack>
  );
}

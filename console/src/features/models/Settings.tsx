import { Button, Group, NumberInput, Select, SimpleGrid, Stack, Switch, Text, TextInput } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { useState } from "react";
import { useAct } from "../../api/hooks";
import type { VersionDetail } from "../../api/types";
import { ErrorBox, Guarded, Panel } from "../../parts/Bits";
import { Thresholds } from "./Thresholds";

/** Changes of the deployment; what pods feel makes a new revision beside the old one. */
export function Settings({ base, of, remove }: { base: string; of: VersionDetail; remove: () => void }) {
  const present = {
    memory: of.resources.memory,
    cpus: of.resources.cpus,
    timeout_seconds: of.options.timeout_seconds,
    on_output_mismatch: of.options.on_output_mismatch,
    serving: of.options.serving,
    rows_are_independent: of.options.rows_are_independent,
    method: of.options.method,
    needs_token: of.needs_token,
  };
  const [wanted, setWanted] = useState<typeof present>(present);
  const act = useAct<unknown>();
  const changed = Object.fromEntries(
    Object.entries(wanted).filter(([key, value]) => value !== present[key as keyof typeof present]),
  );
  const differences = Object.keys(changed);
  const may = of.actions.configure ?? { allowed: false, reason: "" };
  const fields = act.error?.fields ?? {};
  const save = () =>
    act.mutate(
      { method: "PATCH", path: base, body: changed },
      {
        onSuccess: () =>
          notifications.show({ message: "Changed. What pods feel comes up beside the old revision.", color: "teal" }),
      },
    );
  const set = (key: keyof typeof present) => (value: unknown) => setWanted({ ...wanted, [key]: value });
  return (
    <Stack gap="md">
      <Panel title="Configuration">
        <Stack gap="sm">
          <SimpleGrid cols={{ base: 1, sm: 2, md: 3 }}>
            <TextInput
              label="Memory of a pod"
              value={wanted.memory}
              onChange={(event) => set("memory")(event.currentTarget.value)}
              error={fields.memory}
            />
            <TextInput
              label="CPUs of a pod"
              value={wanted.cpus}
              onChange={(event) => set("cpus")(event.currentTarget.value)}
              error={fields.cpus}
            />
            <NumberInput
              label="A prediction may take, seconds"
              value={wanted.timeout_seconds}
              min={1}
              max={300}
              onChange={(value) => set("timeout_seconds")(Number(value))}
              error={fields.timeout_seconds}
            />
            <Select
              label="Serving path"
              data={["auto", "pyfunc"]}
              value={wanted.serving}
              onChange={set("serving")}
              allowDeselect={false}
            />
            <Select
              label="Rows are independent"
              data={["as-proven", "yes", "no"]}
              value={wanted.rows_are_independent}
              onChange={set("rows_are_independent")}
              allowDeselect={false}
            />
            <Select
              label="Method that answers"
              data={[
                "predict",
                "predict_proba",
                "predict_log_proba",
                "decision_function",
                "score_samples",
                "transform",
              ]}
              value={wanted.method}
              onChange={set("method")}
              allowDeselect={false}
            />
            <Select
              label="An answer that breaks the output schema"
              data={[
                { value: "pass", label: "is passed on" },
                { value: "refuse", label: "is refused" },
              ]}
              value={wanted.on_output_mismatch}
              onChange={set("on_output_mismatch")}
              allowDeselect={false}
            />
          </SimpleGrid>
          <Switch
            label="Callers need an access token"
            checked={wanted.needs_token}
            onChange={(event) => set("needs_token")(event.currentTarget.checked)}
          />
          <Difference of={changed} present={present} />
          <ErrorBox problem={act.error} />
          <Group>
            <Guarded
              label="Save"
              allowed={may.allowed && differences.length > 0}
              reason={may.allowed ? "Nothing is changed yet." : may.reason}
              loading={act.isPending}
              onClick={save}
            />
            {differences.length > 0 && (
              <Button variant="default" onClick={() => setWanted(present)}>
                Undo
              </Button>
            )}
          </Group>
        </Stack>
      </Panel>
      <Thresholds project={of.project} model={of.model} may={may} />
      <Panel title="Delete">
        <Group justify="space-between">
          <Text size="sm">The version goes with its endpoint, files, logs and access tokens.</Text>
          <Guarded
            label="Delete this version"
            color="red"
            variant="light"
            allowed={of.actions.delete?.allowed ?? false}
            reason={of.actions.delete?.reason ?? ""}
            onClick={remove}
          />
        </Group>
      </Panel>
    </Stack>
  );
}

export function Difference({ of, present }: { of: Record<string, unknown>; present: Record<string, unknown> }) {
  const keys = Object.keys(of);
  if (keys.length === 0) return null;
  return (
    <Stack gap={2}>
      {keys.map((key) => (
        <Text key={key} size="sm">
          {key.replaceAll("_", " ")}:{" "}
          <Text span td="line-through" c="dimmed">
            {String(present[key])}
          </Text>{" "}
          → <b>{String(of[key])}</b>
        </Text>
      ))}
    </Stack>
  );
}

import { Button, Group, Progress, Slider, Stack, Table, Text, TextInput } from "@mantine/core";
import { useState } from "react";
import { useAct } from "../../api/hooks";
import type { Load, ProductionDetail } from "../../api/types";
import { ErrorBox, Panel } from "../../parts/Bits";
import { figure, milliseconds, percent } from "../../parts/format";

/** How requests move from one revision to the next, and the means to take that in hand. */
export function Traffic({ base, of }: { base: string; of: ProductionDetail }) {
  const rollout = of.rollout;
  const act = useAct<unknown>();
  const [share, setShare] = useState(rollout?.percent ?? 0);
  const [reason, setReason] = useState("");
  if (!rollout) return null;
  const want = (wanted: string, given?: number) =>
    act.mutate({ method: "PATCH", path: `${base}/rollout`, body: { wanted, percent: given ?? null, reason } });
  return (
    <Panel
      title={`Rollout: revision ${rollout.old_revision} → ${rollout.new_revision}, ${rollout.state}`}
      actions={
        <>
          {rollout.state === "Paused" && rollout.steps.length > 0 ? (
            <Button variant="default" onClick={() => want("run")} loading={act.isPending}>
              Go on
            </Button>
          ) : (
            rollout.state === "Running" && (
              <Button variant="default" onClick={() => want("pause")} loading={act.isPending}>
                Pause
              </Button>
            )
          )}
          <Button variant="default" onClick={() => want("finish")} loading={act.isPending}>
            Finish
          </Button>
          <Button variant="light" color="orange" onClick={() => want("abort")} loading={act.isPending}>
            Abort
          </Button>
        </>
      }
    >
      <Stack gap="sm">
        <Text size="sm" role="status">
          {rollout.message}
        </Text>
        <Progress.Root size="xl">
          <Progress.Section value={100 - rollout.percent} color="gray.8" aria-label="Share of the old revision">
            <Progress.Label>
              {100 - rollout.percent} % revision {rollout.old_revision}
            </Progress.Label>
          </Progress.Section>
          <Progress.Section value={rollout.percent} color="blue.9" aria-label="Share of the new revision">
            <Progress.Label>
              {rollout.percent} % revision {rollout.new_revision}
            </Progress.Label>
          </Progress.Section>
        </Progress.Root>
        <Table>
          <Table.Thead>
            <Table.Tr>
              <Table.Th>Last minute</Table.Th>
              <Table.Th className="num">Requests/s</Table.Th>
              <Table.Th className="num">Errors</Table.Th>
              <Table.Th className="num">p95</Table.Th>
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            <Measured label={`Revision ${rollout.old_revision}, the old one`} of={rollout.old_load} />
            <Measured label={`Revision ${rollout.new_revision}, the new one`} of={rollout.new_load} />
          </Table.Tbody>
        </Table>
        <Group gap="sm" align="flex-end">
          <Stack gap={2} flex={1} miw={200}>
            <Text size="xs">Stay at a share of requests</Text>
            <Slider
              thumbLabel="Stay at a share of requests"
              value={share}
              onChange={setShare}
              min={0}
              max={99}
              label={(value) => `${value} %`}
            />
          </Stack>
          <Button variant="default" onClick={() => want("pause", share)} loading={act.isPending}>
            Stay at {share} %
          </Button>
        </Group>
        <TextInput
          label="Why"
          description="Kept with what you do next; it may stay empty."
          maxLength={500}
          value={reason}
          onChange={(event) => setReason(event.currentTarget.value)}
          error={act.error?.fields.reason}
        />
        <Text size="xs" c="dimmed">
          The new revision alone answers at {rollout.next_url}. Begun by {rollout.begun_by}; limits:{" "}
          {rollout.max_error_rate_rise === null
            ? "any errors"
            : `${figure(rollout.max_error_rate_rise * 100)} % more errors`}
          , {rollout.max_latency_ratio === null ? "any latency" : `${rollout.max_latency_ratio} times the latency`},
          after {rollout.min_requests} requests.
        </Text>
        <ErrorBox problem={act.error} />
      </Stack>
    </Panel>
  );
}

function Measured({ label, of }: { label: string; of: Load | null }) {
  return (
    <Table.Tr>
      <Table.Td>{label}</Table.Td>
      <Table.Td className="num">{figure(of?.requests_per_second)}</Table.Td>
      <Table.Td className="num">{percent(of?.error_rate)}</Table.Td>
      <Table.Td className="num">{milliseconds(of?.p95_ms)}</Table.Td>
    </Table.Tr>
  );
}

import { Group, NumberInput, SimpleGrid, Stack, Switch, Text, TextInput } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { useState } from "react";
import { useAct } from "../../api/hooks";
import type { ProductionDetail } from "../../api/types";
import { ErrorBox, Guarded, Panel, Snippet } from "../../parts/Bits";
import { type Policy, PolicyFields, policyBody } from "../../parts/PolicyFields";
import { type Rollout, RolloutFields, rolloutBody } from "../../parts/RolloutFields";

export function Configure({ base, of, remove }: { base: string; of: ProductionDetail; remove: () => void }) {
  const [memory, setMemory] = useState(of.resources.memory);
  const [cpus, setCpus] = useState(of.resources.cpus);
  const [least, setLeast] = useState<number | string>(of.min_pods);
  const [most, setMost] = useState<number | string>(of.max_pods);
  const [needsToken, setNeedsToken] = useState(of.needs_token);
  const present: Policy = of.autoscaling
    ? { metric: of.autoscaling.metric, target: of.autoscaling.target }
    : { metric: "none", target: 0 };
  const [policy, setPolicy] = useState<Policy>(present);
  const [rollout, setRollout] = useState<Rollout>({ kind: "all", steps: "5, 25, 50", seconds: 300, requests: 50 });
  const [quota, setQuota] = useState<number | string>(of.quota_per_second ?? 0);
  const act = useAct<unknown>();
  const fields = act.error?.fields ?? {};
  const isPolicyChanged =
    policy.metric !== present.metric || (policy.metric !== "none" && policy.target !== present.target);
  const isFelt = memory !== of.resources.memory || cpus !== of.resources.cpus;
  const changes: [string, string, string][] = [];
  const note = (label: string, was: unknown, becomes: unknown) =>
    String(was) !== String(becomes) && changes.push([label, String(was), String(becomes)]);
  note("memory", of.resources.memory, memory);
  note("CPUs", of.resources.cpus, cpus);
  note("pods at least", of.min_pods, least);
  note("pods at most", of.max_pods, most);
  note("access", of.needs_token ? "with a token" : "open", needsToken ? "with a token" : "open");
  if (isPolicyChanged)
    note(
      "autoscaling",
      present.metric === "none" ? "off" : `${present.metric} ${present.target}`,
      policy.metric === "none" ? "off" : `${policy.metric} ${policy.target}`,
    );
  note("quota of each caller", of.quota_per_second ?? 0, quota);
  const save = () =>
    act.mutate(
      {
        method: "PATCH",
        path: base,
        body: {
          memory,
          cpus,
          min_pods: Number(least),
          max_pods: Number(most),
          needs_token: needsToken,
          quota_per_second: Number(quota) === (of.quota_per_second ?? 0) ? null : Number(quota),
          autoscaling: isPolicyChanged ? policyBody(policy) : null,
          rollout: isFelt ? rolloutBody(rollout) : null,
        },
      },
      { onSuccess: () => notifications.show({ message: "Changed.", color: "teal" }) },
    );
  return (
    <Stack gap="md">
      <Panel title="Size and autoscaling">
        <Stack gap="sm">
          <SimpleGrid cols={{ base: 2, sm: 4 }}>
            <TextInput
              label="Memory of a pod"
              value={memory}
              onChange={(event) => setMemory(event.currentTarget.value)}
              error={fields.memory}
            />
            <TextInput
              label="CPUs of a pod"
              value={cpus}
              onChange={(event) => setCpus(event.currentTarget.value)}
              error={fields.cpus}
            />
            <NumberInput
              label="Pods at least"
              min={1}
              max={100}
              value={least}
              onChange={setLeast}
              error={fields.min_pods}
            />
            <NumberInput
              label="Pods at most"
              min={1}
              max={100}
              value={most}
              onChange={setMost}
              error={fields.max_pods}
            />
          </SimpleGrid>
          <PolicyFields
            value={policy}
            onChange={setPolicy}
            isFixed={Number(least) === Number(most)}
            error={fields["autoscaling/target"]}
          />
          <NumberInput
            maw={320}
            label="Requests per second of each caller"
            description="0: as many as they like. More are answered 429."
            min={0}
            value={quota}
            onChange={setQuota}
            error={fields.quota_per_second}
          />
          <Switch
            label="Callers need an access token"
            checked={needsToken}
            onChange={(event) => setNeedsToken(event.currentTarget.checked)}
          />
          {isFelt && <RolloutFields value={rollout} onChange={setRollout} />}
          {changes.map(([label, was, becomes]) => (
            <Text key={label} size="sm">
              {label}:{" "}
              <Text span td="line-through" c="dimmed">
                {was}
              </Text>{" "}
              → <b>{becomes}</b>
            </Text>
          ))}
          {isFelt && (
            <Text size="xs" c="dimmed">
              Other memory or CPUs make a new revision, which comes up beside the old one.
            </Text>
          )}
          <ErrorBox problem={act.error} />
          <Group>
            <Guarded
              label="Save"
              allowed={changes.length > 0}
              reason="Nothing is changed yet."
              loading={act.isPending}
              onClick={save}
            />
          </Group>
          {changes.length > 0 && (
            <Snippet
              label="CLI"
              code={`taxiway production configure ${of.name} --memory ${memory} --cpus ${cpus} --min-pods ${least} --max-pods ${most}${isPolicyChanged ? ` --autoscale ${policy.metric === "none" ? "none" : `${policy.metric}=${policy.target}`}` : ""}`}
            />
          )}
        </Stack>
      </Panel>
      <Panel title="Delete">
        <Group justify="space-between">
          <Text size="sm">The endpoint goes with its files in the production store and its access tokens.</Text>
          <Guarded label="Delete this deployment" color="red" variant="light" onClick={remove} />
        </Group>
      </Panel>
    </Stack>
  );
}

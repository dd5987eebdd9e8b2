import { Group, Stack, Text } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { useState } from "react";
import { useAct } from "../../api/hooks";
import type { ProductionDetail } from "../../api/types";
import { ErrorBox, Guarded, Panel, Snippet } from "../../parts/Bits";
import { PolicyFields } from "../../parts/PolicyFields";
import { isFine, isSamePolicy, policyBody, policyOf, sayPolicy, shortPolicy } from "../../parts/policy";
import { AT_ONCE, type Rollout, RolloutFields, rolloutBody, rolloutWords } from "../../parts/RolloutFields";
import { quotaBody, type Size, SizeFields, sizeBody } from "../../parts/SizeFields";

/** What is sent: the changes alone; what is left out stays. */
const changed = (was: object, becomes: object) => {
  const before = Object.values(was);
  return Object.fromEntries(Object.entries(becomes).filter(([, value], number) => value !== before[number]));
};
const access = (needsToken: boolean) => (needsToken ? "with a token" : "open");
const limit = (quota: number | string, burst: number | string) =>
  Number(quota) === 0 ? "none" : `${quota} a second${burst === "" ? "" : `, ${burst} above it`}`;

export function Configure({ base, of, remove }: { base: string; of: ProductionDetail; remove: () => void }) {
  const present: Size = {
    memory: of.resources.memory,
    cpus: of.resources.cpus,
    least: of.min_pods,
    most: of.max_pods,
    needsToken: of.needs_token,
    quota: of.quota_per_second ?? 0,
    burst: of.quota_burst ?? "",
  };
  const before = policyOf(of.autoscaling);
  const [size, setSize] = useState(present);
  const [policy, setPolicy] = useState(before);
  const [rollout, setRollout] = useState<Rollout>(AT_ONCE);
  const act = useAct<unknown>();
  const fields = act.error?.fields ?? {};
  const isPolicyChanged = !isSamePolicy(policy, before);
  const isFelt = size.memory !== present.memory || size.cpus !== present.cpus;
  const changes = (
    [
      ["memory", present.memory, size.memory],
      ["CPUs", present.cpus, size.cpus],
      ["pods at least", present.least, size.least],
      ["pods at most", present.most, size.most],
      ["access", access(present.needsToken), access(size.needsToken)],
      ["quota of each caller", limit(present.quota, present.burst), limit(size.quota, size.burst)],
    ] as const
  ).filter(([, was, becomes]) => String(was) !== String(becomes));
  const body = {
    ...changed(sizeBody(present), sizeBody(size)),
    ...quotaBody(size, { quota: Number(present.quota), burst: present.burst }),
    ...(isPolicyChanged ? { autoscaling: policyBody(policy) } : {}),
    ...(isFelt && rollout.kind !== "all" ? { rollout: rolloutBody(rollout) } : {}),
  };
  const isChanged = changes.length > 0 || isPolicyChanged;
  const save = () =>
    act.mutate(
      { method: "PATCH", path: base, body },
      { onSuccess: () => notifications.show({ message: "Changed.", color: "teal" }) },
    );
  return (
    <Stack gap="md">
      <Panel title="Size, access and autoscaling">
        <Stack gap="sm">
          <SizeFields value={size} onChange={setSize} errors={fields} />
          <PolicyFields
            value={policy}
            onChange={setPolicy}
            isFixed={Number(size.least) === Number(size.most)}
            errors={fields}
          />
          {isFelt && <RolloutFields value={rollout} onChange={setRollout} errors={fields} />}
          {[
            ...changes,
            ...(isPolicyChanged ? [["autoscaling", sayPolicy(before), sayPolicy(policy)] as const] : []),
          ].map(([label, was, becomes]) => (
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
              allowed={isChanged}
              reason="Nothing is changed yet."
              loading={act.isPending}
              onClick={save}
            />
          </Group>
          {isChanged &&
            (isPolicyChanged && isFine(policy) ? (
              <Snippet
                label="Python"
                code={asPython(of.name, { ...body, autoscaling: shortPolicy(policyBody(policy)) })}
              />
            ) : (
              <Snippet
                label="CLI"
                code={`taxiway production configure ${of.name} --memory ${size.memory} --cpus ${size.cpus} --min-pods ${size.least} --max-pods ${size.most}${isPolicyChanged ? ` --autoscale ${policy.metric === "none" ? "none" : `${policy.metric}=${policy.target}`}` : ""}${isFelt ? rolloutWords(rollout) : ""}`}
              />
            ))}
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

/** JSON with lists of numbers on one line. */
const json = (body: unknown) =>
  JSON.stringify(body, null, 2).replaceAll(/\[[\d,\s]+\]/g, (list) =>
    list.replaceAll(/\s+/g, "").replaceAll(",", ", "),
  );

/** The same change in Python, for what the command has no options for. */
const asPython = (name: string, body: unknown) =>
  [
    "from taxiway import Client",
    "from taxiway.wire.production import ProductionConfigurationIn",
    "",
    `wanted = ProductionConfigurationIn.model_validate_json('''${json(body)}''')`,
    "with Client() as client:",
    `    client.configure_production(${JSON.stringify(name)}, wanted)`,
  ].join("\n");

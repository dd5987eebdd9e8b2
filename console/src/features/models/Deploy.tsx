import {
  Accordion,
  Badge,
  Button,
  Checkbox,
  Group,
  Modal,
  Select,
  SimpleGrid,
  Stack,
  Stepper,
  Text,
  Textarea,
  TextInput,
} from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { notifications } from "@mantine/notifications";
import { IconCheck, IconClock, IconX } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useNavigate } from "react-router";
import { type Problem, send } from "../../api/client";
import { useAct, useGet } from "../../api/hooks";
import type { Schema, VersionDetail } from "../../api/types";
import { ErrorBox, Snippet, Waiting } from "../../parts/Bits";
import { ContractChanges } from "../../parts/ContractChanges";
import { bytes } from "../../parts/format";
import { PolicyFields } from "../../parts/PolicyFields";
import { isFine, NO_POLICY, policyBody, policyOf, sayPolicy } from "../../parts/policy";
import { AT_ONCE, type Rollout, RolloutFields, rolloutBody, rolloutWords } from "../../parts/RolloutFields";
import { quotaBody, type Size, SizeFields, sizeBody } from "../../parts/SizeFields";
import { asCommand, asPython } from "./saying";

type Plan = Schema<"PromotionOut">;
const NEW = "a new deployment";
const NO_REASON = "Looking at the gates.";

/** What goes to production, where and how big, and why: the gates are looked at all the while. */
export function Deploy({ of, close }: { of: VersionDetail; close: () => void }) {
  const production = useGet<Schema<"ProductionPage">>("/production/deployments");
  const platform = useGet<Schema<"PlatformOut">>("/platform");
  const [step, setStep] = useState(0);
  const [target, setTarget] = useState(NEW);
  const [name, setName] = useState(of.model);
  const [customer, setCustomer] = useState("");
  const [size, setSize] = useState<Size>({
    memory: of.resources.memory,
    cpus: of.resources.cpus,
    least: 1,
    most: 1,
    needsToken: true,
    quota: 0,
    burst: "",
  });
  const { memory, cpus, least, most } = size;
  const [policy, setPolicy] = useState(NO_POLICY);
  const [rollout, setRollout] = useState<Rollout>(AT_ONCE);
  const [accepts, setAccepts] = useState(false);
  const [reason, setReason] = useState("");
  const isNew = target === NEW;
  const existing = production.data?.items.find((each) => each.name === target);
  const choose = (value: string) => {
    setTarget(value);
    const found = production.data?.items.find((each) => each.name === value);
    if (found) {
      setSize({
        memory: found.resources.memory,
        cpus: found.resources.cpus,
        least: found.min_pods,
        most: found.max_pods,
        needsToken: found.needs_token,
        quota: found.quota_per_second ?? 0,
        burst: found.quota_burst ?? "",
      });
      setPolicy(policyOf(found.autoscaling));
    }
  };
  const body = {
    project: of.project,
    model: of.model,
    version: of.version,
    name: isNew ? name : target,
    customer: isNew ? customer || null : null,
    ...sizeBody(size),
    ...quotaBody(size, { quota: existing?.quota_per_second ?? 0, burst: existing?.quota_burst ?? "" }),
    autoscaling: policyBody(policy),
    rollout: isNew ? null : rolloutBody(rollout),
    accept_breaking: accepts,
    reason: reason || NO_REASON,
  };
  const said = {
    ...body,
    reason,
    autoscaling: isNew && policy.metric === "none" ? null : body.autoscaling,
  } as Schema<"PromotionIn">;
  const [settled] = useDebouncedValue(JSON.stringify(body), 300);
  const plan = useQuery<Plan, Problem>({
    queryKey: ["/production/promotions", settled],
    queryFn: () =>
      send<Plan>("POST", "/production/promotions", {
        body: { ...JSON.parse(settled), customer: isNew ? customer || "…" : null, dry_run: true },
      }),
    retry: false,
    meta: { follows: false },
    placeholderData: (before) => before,
  });
  const act = useAct<Plan>();
  const go = useNavigate();
  const amiss = plan.data?.gates.filter((gate) => !gate.holds) ?? [];
  const failed = amiss.filter((gate) => !gate.can_be_awaited);
  const deploy = () =>
    act.mutate(
      { method: "POST", path: "/production/promotions", body },
      {
        onSuccess: (done) => {
          notifications.show({
            message: done.waits_as
              ? `${of.model} ${of.version} waits for another administrator's approval.`
              : `${of.model} ${of.version} is on its way to ${done.after.name}.`,
            color: "teal",
          });
          close();
          go(done.waits_as ? "/deployments" : `/deployments/${done.after.name}`);
        },
      },
    );
  const fields = { ...plan.error?.fields, ...act.error?.fields };
  const capacity = platform.data?.capacity;
  const canGo = failed.length === 0 && !plan.error && reason.trim() !== "" && (!isNew || customer.trim() !== "");
  return (
    <Modal opened onClose={close} title={`Deploy ${of.model} ${of.version} to production`} size="xl">
      <Stack gap="md">
        <Stepper active={step} onStepClick={setStep} size="xs">
          <Stepper.Step label="What and where" />
          <Stepper.Step label="How big" />
          <Stepper.Step label="Review and reason" />
        </Stepper>
        {step === 0 && (
          <Stack gap="sm">
            <Select
              label="To"
              data={[NEW, ...(production.data?.items ?? []).map((each) => each.name)]}
              value={target}
              onChange={(value) => choose(value ?? NEW)}
              allowDeselect={false}
              data-autofocus
            />
            {isNew ? (
              <SimpleGrid cols={{ base: 1, sm: 2 }}>
                <TextInput
                  label="Name"
                  description="It stands in the address, /production/NAME/."
                  value={name}
                  onChange={(event) => setName(event.currentTarget.value)}
                  error={fields.name}
                />
                <TextInput
                  label="Customer"
                  description="Whom it serves."
                  value={customer}
                  onChange={(event) => setCustomer(event.currentTarget.value)}
                  error={fields.customer}
                />
              </SimpleGrid>
            ) : (
              <Text size="sm" c="dimmed">
                It serves {existing?.model} {existing?.version} for {existing?.customer} now.
              </Text>
            )}
            <Gates of={plan.data} problem={plan.error} />
            {plan.data?.before && (
              <ContractChanges
                of={plan.data.changes}
                isCompatible={!plan.data.changes.some((change) => change.is_breaking)}
              />
            )}
            {plan.data?.changes.some((change) => change.is_breaking) && (
              <Checkbox
                label="Callers know of the breaking changes; promote all the same"
                checked={accepts}
                onChange={(event) => setAccepts(event.currentTarget.checked)}
              />
            )}
          </Stack>
        )}
        {step === 1 && (
          <Stack gap="sm">
            <SizeFields value={size} onChange={setSize} errors={fields} />
            <Text size="sm" c="dimmed">
              At most {most} × {cpus} CPU and {most} × {memory} of memory.
              {capacity ? ` This host has ${capacity.cpus} CPUs and ${bytes(capacity.memory_bytes)}.` : ""}
            </Text>
            <PolicyFields
              value={policy}
              onChange={setPolicy}
              isFixed={Number(least) === Number(most)}
              errors={fields}
            />
            {!isNew && <RolloutFields value={rollout} onChange={setRollout} errors={fields} />}
          </Stack>
        )}
        {step === 2 && (
          <Stack gap="sm">
            <Gates of={plan.data} problem={plan.error} />
            <Textarea
              label="Why"
              description="It is kept with the act, in the history and in the audit log."
              value={reason}
              onChange={(event) => setReason(event.currentTarget.value.replace(/\n/g, " "))}
              error={fields.reason}
              autosize
              minRows={2}
              autoFocus
            />
            <Text size="sm">
              <b>
                {of.model} {of.version}
              </b>{" "}
              → <b>{isNew ? name : target}</b>
              {isNew ? `, for ${customer || "…"}` : ""}: {least}–{most} pods of {memory} and {cpus} CPU
              {policy.metric !== "none" ? `, ${sayPolicy(policy)} per pod` : ""}
              {!isNew && rollout.kind !== "all"
                ? `, ${rollout.kind === "canary" ? `by ${rollout.steps} %` : "at 0 %, by its tag alone"}`
                : ""}
            </Text>
            <ErrorBox problem={act.error} />
            <Accordion variant="contained" chevronPosition="left">
              <Accordion.Item value="cli">
                <Accordion.Control>Show as CLI and Python</Accordion.Control>
                <Accordion.Panel>
                  <Snippet label="CLI" code={asCommand(said, rolloutWords(rollout))} />
                  <Snippet label="Python" code={asPython(said)} />
                  {isFine(policy) && (
                    <Text size="xs" c="dimmed" mt={4}>
                      The command has no options for schedules and the finest settings of autoscaling; Python has.
                    </Text>
                  )}
                </Accordion.Panel>
              </Accordion.Item>
            </Accordion>
          </Stack>
        )}
        <Group justify="space-between">
          <Button variant="default" onClick={step === 0 ? close : () => setStep(step - 1)}>
            {step === 0 ? "Cancel" : "Back"}
          </Button>
          {step < 2 ? (
            <Button onClick={() => setStep(step + 1)}>Next</Button>
          ) : (
            <Button onClick={deploy} loading={act.isPending} disabled={!canGo}>
              {amiss.length > 0 && failed.length === 0 ? "Ask for approval" : "Deploy to production"}
            </Button>
          )}
        </Group>
      </Stack>
    </Modal>
  );
}

function Gates({ of, problem }: { of: Plan | undefined; problem: Problem | null }) {
  if (problem) return <ErrorBox problem={problem} />;
  if (!of) return <Waiting rows={3} />;
  return (
    <Stack gap={4}>
      {of.gates.map((gate) => (
        <Group key={gate.gate} gap="xs" wrap="nowrap" align="flex-start">
          <Badge
            size="sm"
            variant="light"
            color={gate.holds ? "teal" : gate.can_be_awaited ? "yellow" : "red"}
            tt="none"
            w={92}
            style={{ flex: "none" }}
            leftSection={
              gate.holds ? <IconCheck size={11} /> : gate.can_be_awaited ? <IconClock size={11} /> : <IconX size={11} />
            }
          >
            {gate.gate}
          </Badge>
          <div>
            <Text size="sm">{gate.message}</Text>
            {!gate.holds && (
              <Text size="xs" c="dimmed">
                {gate.hint}
              </Text>
            )}
          </div>
        </Group>
      ))}
    </Stack>
  );
}

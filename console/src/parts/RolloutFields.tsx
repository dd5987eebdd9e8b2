import { NumberInput, SegmentedControl, SimpleGrid, Stack, Text, TextInput } from "@mantine/core";

export interface Rollout {
  kind: string;
  steps: string;
  seconds: number;
  requests: number;
  /** More percent of requests that may fail, and times the latency; empty: any. */
  errors: number | string;
  latency: number | string;
}

export const AT_ONCE: Rollout = {
  kind: "all",
  steps: "5, 25, 50",
  seconds: 300,
  requests: 50,
  errors: 1,
  latency: 1.5,
};

export function rolloutBody(rollout: Rollout) {
  if (rollout.kind === "all") return null;
  const steps =
    rollout.kind === "tagged"
      ? []
      : rollout.steps
          .split(",")
          .map((text) => text.trim())
          .filter(Boolean)
          // What is no number stays none, so that the server can say which.
          .map((text) => (Number.isNaN(Number(text)) ? text : Number(text)));
  return {
    steps,
    step_seconds: rollout.seconds,
    min_requests: rollout.requests,
    max_error_rate_rise: rollout.errors === "" ? null : Number(rollout.errors) / 100,
    max_latency_ratio: rollout.latency === "" ? null : Number(rollout.latency),
  };
}

/** The options of the commands that begin the same rollout. */
export function rolloutWords(rollout: Rollout): string {
  if (rollout.kind === "all") return "";
  if (rollout.kind === "tagged") return " --tagged";
  return [
    ` --canary ${rollout.steps.replaceAll(" ", "")} --step ${rollout.seconds} --min-requests ${rollout.requests}`,
    rollout.errors === "" || Number(rollout.errors) === AT_ONCE.errors
      ? ""
      : ` --max-error-rise ${Number(rollout.errors) / 100}`,
    rollout.latency === "" || Number(rollout.latency) === AT_ONCE.latency ? "" : ` --max-latency ${rollout.latency}`,
  ].join("");
}

/** How requests move to the new revision. */
export function RolloutFields({
  value,
  onChange,
  errors,
}: {
  value: Rollout;
  onChange: (value: Rollout) => void;
  errors: Record<string, string>;
}) {
  const step = Object.keys(errors).find((field) => field.startsWith("rollout/steps"));
  return (
    <Stack gap="xs">
      <Text size="xs" fw={500}>
        Requests move
      </Text>
      <SegmentedControl
        w="fit-content"
        maw="100%"
        value={value.kind}
        onChange={(kind) => onChange({ ...value, kind })}
        aria-label="How requests move"
        data={[
          { value: "all", label: "All at once" },
          { value: "canary", label: "Step by step" },
          { value: "tagged", label: "Not yet" },
        ]}
      />
      <Text size="xs" c="dimmed">
        {value.kind === "all" && "When the new revision is ready, it gets all requests."}
        {value.kind === "tagged" && "The new revision answers at its own address alone, @next, until it is moved on."}
        {value.kind === "canary" &&
          "It goes back by itself when a limit is broken, compared with the old revision in the same time; 100 % follows the last step."}
      </Text>
      {value.kind === "canary" && (
        <>
          <SimpleGrid cols={{ base: 1, sm: 3 }}>
            <TextInput
              label="Percents"
              value={value.steps}
              onChange={(event) => onChange({ ...value, steps: event.currentTarget.value })}
              error={step && errors[step]}
            />
            <NumberInput
              label="Seconds of a step"
              min={5}
              max={900}
              value={value.seconds}
              onChange={(seconds) => onChange({ ...value, seconds: Number(seconds) })}
              error={errors["rollout/step_seconds"]}
            />
            <NumberInput
              label="Requests that a step needs"
              min={1}
              value={value.requests}
              onChange={(requests) => onChange({ ...value, requests: Number(requests) })}
              error={errors["rollout/min_requests"]}
            />
          </SimpleGrid>
          <SimpleGrid cols={{ base: 1, sm: 2 }}>
            <NumberInput
              label="Limit: more requests that fail, percent"
              description="Empty: any."
              min={0}
              max={99}
              value={value.errors}
              onChange={(errors) => onChange({ ...value, errors })}
              error={errors["rollout/max_error_rate_rise"]}
            />
            <NumberInput
              label="Limit: times the 95th percentile"
              description="Empty: any."
              min={1}
              max={100}
              step={0.1}
              value={value.latency}
              onChange={(latency) => onChange({ ...value, latency })}
              error={errors["rollout/max_latency_ratio"]}
            />
          </SimpleGrid>
        </>
      )}
    </Stack>
  );
}

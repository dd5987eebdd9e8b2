import { NumberInput, SegmentedControl, SimpleGrid, Stack, Text, TextInput } from "@mantine/core";

export interface Rollout {
  kind: string;
  steps: string;
  seconds: number;
  requests: number;
}

export function rolloutBody(rollout: Rollout) {
  if (rollout.kind === "all") return null;
  const steps =
    rollout.kind === "tagged"
      ? []
      : rollout.steps
          .split(",")
          .map((text) => Number(text.trim()))
          .filter((percent) => !Number.isNaN(percent));
  return { steps, step_seconds: rollout.seconds, min_requests: rollout.requests };
}

/** How requests move to the new revision. */
export function RolloutFields({ value, onChange }: { value: Rollout; onChange: (value: Rollout) => void }) {
  return (
    <Stack gap="xs">
      <Text size="xs" fw={500}>
        Requests move
      </Text>
      <SegmentedControl
        w="fit-content"
        value={value.kind}
        onChange={(kind) => onChange({ ...value, kind })}
        aria-label="How requests move"
        data={[
          { value: "all", label: "All at once, when it is ready" },
          { value: "canary", label: "Step by step" },
          { value: "tagged", label: "Not yet: by its tag alone" },
        ]}
      />
      {value.kind === "canary" && (
        <>
          <SimpleGrid cols={{ base: 1, sm: 3 }}>
            <TextInput
              label="Percents"
              value={value.steps}
              onChange={(event) => onChange({ ...value, steps: event.currentTarget.value })}
            />
            <NumberInput
              label="Seconds of a step"
              min={5}
              max={900}
              value={value.seconds}
              onChange={(seconds) => onChange({ ...value, seconds: Number(seconds) })}
            />
            <NumberInput
              label="Requests that a step needs"
              min={1}
              value={value.requests}
              onChange={(requests) => onChange({ ...value, requests: Number(requests) })}
            />
          </SimpleGrid>
          <Text size="xs" c="dimmed">
            It goes back by itself when one more of a hundred requests fails, or the 95th percentile takes 1.5 times as
            long, as with the old revision in the same time.
          </Text>
        </>
      )}
    </Stack>
  );
}

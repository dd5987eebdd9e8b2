import { NumberInput, Select, SimpleGrid, Text } from "@mantine/core";

export interface Policy {
  metric: string;
  target: number;
}

const METRICS = [
  { value: "none", label: "None: as many pods as at least" },
  { value: "concurrency", label: "Concurrency: requests at the same time" },
  { value: "requests", label: "Requests per second" },
  { value: "cpu", label: "CPU, percent" },
  { value: "memory", label: "Memory, percent" },
];
const USUAL: Record<string, number> = { none: 0, concurrency: 5, requests: 100, cpu: 70, memory: 80 };

export const policyBody = (policy: Policy) => ({
  metric: policy.metric,
  target: policy.metric === "none" ? 0 : policy.target,
});

/** What load one pod is to have. */
export function PolicyFields({
  value,
  onChange,
  isFixed,
  error,
}: {
  value: Policy;
  onChange: (value: Policy) => void;
  isFixed: boolean;
  error?: string;
}) {
  return (
    <>
      <SimpleGrid cols={{ base: 1, sm: 2 }}>
        <Select
          label="Autoscaling by"
          data={METRICS}
          value={value.metric}
          onChange={(metric) => onChange({ metric: metric ?? "none", target: USUAL[metric ?? "none"] ?? 5 })}
          allowDeselect={false}
        />
        {value.metric !== "none" && (
          <NumberInput
            label="Of one pod"
            value={value.target}
            min={0.1}
            onChange={(target) => onChange({ ...value, target: Number(target) })}
            error={error}
          />
        )}
      </SimpleGrid>
      {value.metric !== "none" && isFixed && (
        <Text size="xs" c="dimmed">
          With as many pods at most as at least there is nothing to scale.
        </Text>
      )}
    </>
  );
}

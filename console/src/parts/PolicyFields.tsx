import { Button, Collapse, NumberInput, Select, SimpleGrid, Stack, Text } from "@mantine/core";
import { IconChevronDown, IconChevronRight } from "@tabler/icons-react";
import { useId, useState } from "react";
import { type Policy, USUAL } from "./policy";
import { ScheduleFields } from "./ScheduleFields";

const METRICS = [
  { value: "none", label: "None: as many pods as at least" },
  { value: "concurrency", label: "Concurrency: requests at the same time" },
  { value: "requests", label: "Requests per second" },
  { value: "cpu", label: "CPU, percent" },
  { value: "memory", label: "Memory, percent" },
];
type Finer = Exclude<keyof Policy, "metric" | "target" | "schedules">;
const MORE: [Finer, string, string][] = [
  ["tolerance", "Tolerance", "Share of the target that is no reason to change."],
  ["over_seconds", "Average over, seconds", "Of the load."],
  ["up_window_seconds", "Wait before more, seconds", "The least asked for in it counts."],
  ["down_window_seconds", "Wait before fewer, seconds", "The most asked for in it counts."],
  ["idle_seconds", "Idle after, seconds", "With no pods at least: the last pod goes when no request came for so long."],
];
const RATES: ["up" | "down", string][] = [
  ["up", "More pods"],
  ["down", "Fewer pods"],
];

/** What load one pod is to have, and how the number of pods follows it. */
export function PolicyFields({
  value,
  onChange,
  isFixed,
  errors,
}: {
  value: Policy;
  onChange: (value: Policy) => void;
  isFixed: boolean;
  /** What the server said, by field. */
  errors: Record<string, string>;
}) {
  const place = useId();
  const error = (name: string) => errors[`autoscaling/${name}`];
  const hasError = Object.keys(errors).some(
    (field) => field.startsWith("autoscaling/") && field !== "autoscaling/target",
  );
  const [isWanted, setWanted] = useState(false);
  const isOpen = isWanted || hasError;
  const number = (name: Finer, label: string, description?: string) => (
    <NumberInput
      key={name}
      label={label}
      description={description}
      value={value[name]}
      min={0}
      step={name === "tolerance" ? 0.05 : 1}
      onChange={(typed) => onChange({ ...value, [name]: Number(typed) })}
      error={error(name)}
    />
  );
  return (
    <Stack gap="xs">
      <SimpleGrid cols={{ base: 1, sm: 2 }}>
        <Select
          label="Autoscaling by"
          data={METRICS}
          value={value.metric}
          onChange={(chosen) => {
            const metric = (chosen ?? "none") as Policy["metric"];
            onChange({ ...value, metric, target: USUAL[metric] });
          }}
          allowDeselect={false}
          error={errors.autoscaling}
        />
        {value.metric !== "none" && (
          <NumberInput
            label="Of one pod"
            value={value.target}
            min={0.1}
            onChange={(target) => onChange({ ...value, target: Number(target) })}
            error={error("target")}
          />
        )}
      </SimpleGrid>
      {value.metric !== "none" && (
        <>
          {isFixed && (
            <Text size="xs" c="dimmed">
              With as many pods at most as at least there is nothing to scale.
            </Text>
          )}
          <Button
            variant="subtle"
            size="compact-sm"
            w="fit-content"
            aria-expanded={isOpen}
            aria-controls={place}
            leftSection={isOpen ? <IconChevronDown size={14} /> : <IconChevronRight size={14} />}
            onClick={() => setWanted(!isOpen)}
          >
            More: schedules, waits, rates
          </Button>
          <Collapse expanded={isOpen} id={place}>
            <Stack gap="sm">
              <ScheduleFields
                value={value.schedules}
                onChange={(schedules) => onChange({ ...value, schedules })}
                errors={errors}
              />
              <SimpleGrid cols={{ base: 1, xs: 2, md: 4 }}>
                {MORE.map(([name, label, description]) => number(name, label, description))}
              </SimpleGrid>
              {RATES.map(([way, label]) => (
                <SimpleGrid key={way} cols={{ base: 1, xs: 3 }}>
                  {number(`${way}_pods`, `${label} at once`)}
                  {number(`${way}_percent`, "Or percent of them, if that is more")}
                  {number(`${way}_period_seconds`, "In seconds")}
                </SimpleGrid>
              ))}
            </Stack>
          </Collapse>
        </>
      )}
    </Stack>
  );
}

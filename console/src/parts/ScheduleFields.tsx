import {
  ActionIcon,
  Autocomplete,
  Button,
  Chip,
  Group,
  NumberInput,
  Paper,
  Stack,
  Text,
  TextInput,
} from "@mantine/core";
import { IconPlus, IconTrash } from "@tabler/icons-react";
import { dayName, type Schedule } from "./policy";

const MOST = 20;
const WEEK = [0, 1, 2, 3, 4, 5, 6];
const ZONES = ["UTC", ...Intl.supportedValuesOf("timeZone").filter((zone) => zone !== "UTC")];
const here = () => Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";

/** More pods at least at some times of the week, by the clock of a place. */
export function ScheduleFields({
  value,
  onChange,
  errors,
}: {
  value: Schedule[];
  onChange: (value: Schedule[]) => void;
  errors: Record<string, string>;
}) {
  const change = (number: number, of: Partial<Schedule>) =>
    onChange(value.map((each, at) => (at === number ? { ...each, ...of } : each)));
  const add = () =>
    onChange([...value, { min_pods: 2, days: [0, 1, 2, 3, 4], begins: "08:00", until: "18:00", zone: here() }]);
  return (
    <Stack gap="xs">
      {value.map((each, number) => {
        const error = (name: string) => errors[`autoscaling/schedules/${number}/${name}`];
        const label = `Schedule ${number + 1}`;
        return (
          // biome-ignore lint/suspicious/noArrayIndexKey: a schedule has no name but its place
          <Paper key={number} withBorder p="sm" radius="md" role="group" aria-label={label}>
            <Stack gap="xs">
              <Group gap="xs" align="flex-start">
                <NumberInput
                  label="Pods at least"
                  aria-label={`${label}: pods at least`}
                  w={110}
                  min={1}
                  max={100}
                  value={each.min_pods}
                  onChange={(pods) => change(number, { min_pods: Number(pods) })}
                  error={error("min_pods")}
                />
                <TextInput
                  label="From"
                  aria-label={`${label}: from`}
                  type="time"
                  value={each.begins}
                  onChange={(event) => change(number, { begins: event.currentTarget.value })}
                  error={error("begins")}
                />
                <TextInput
                  label="Until"
                  aria-label={`${label}: until`}
                  type="time"
                  value={each.until}
                  onChange={(event) => change(number, { until: event.currentTarget.value })}
                  error={error("until")}
                />
                <Autocomplete
                  label="Time zone"
                  aria-label={`${label}: time zone`}
                  flex={1}
                  miw={150}
                  data={ZONES}
                  limit={30}
                  value={each.zone}
                  onChange={(zone) => change(number, { zone })}
                  error={error("zone")}
                />
                <ActionIcon
                  mt={24}
                  variant="subtle"
                  color="red"
                  aria-label={`Remove schedule ${number + 1}`}
                  onClick={() => onChange(value.filter((_, at) => at !== number))}
                >
                  <IconTrash size={16} />
                </ActionIcon>
              </Group>
              <Chip.Group
                multiple
                value={each.days.map(String)}
                onChange={(days) => change(number, { days: days.map(Number).sort() })}
              >
                <Group gap={4}>
                  {WEEK.map((day) => (
                    <Chip key={day} value={String(day)} size="xs">
                      {dayName(day)}
                    </Chip>
                  ))}
                </Group>
              </Chip.Group>
              {each.until < each.begins && (
                <Text size="xs" c="dimmed">
                  Until {each.until} of the next day.
                </Text>
              )}
              {error("days") && (
                <Text size="xs" c="red" role="alert">
                  {error("days")}
                </Text>
              )}
            </Stack>
          </Paper>
        );
      })}
      <Group gap="xs">
        <Button
          variant="default"
          size="compact-sm"
          leftSection={<IconPlus size={14} />}
          onClick={add}
          disabled={value.length >= MOST}
        >
          Add a schedule
        </Button>
        {value.length === 0 && (
          <Text size="xs" c="dimmed">
            More pods at least at some times, for load that is known before it comes.
          </Text>
        )}
      </Group>
      {errors["autoscaling/schedules"] && (
        <Text size="xs" c="red" role="alert">
          {errors["autoscaling/schedules"]}
        </Text>
      )}
    </Stack>
  );
}

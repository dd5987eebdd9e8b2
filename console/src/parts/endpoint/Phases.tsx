import { Box, Code, Group, Progress, Stack, Text } from "@mantine/core";
import { IconCircleCheck, IconLoader2 } from "@tabler/icons-react";
import type { Phase, Schema } from "../../api/types";
import { bytes, duration } from "../format";
import { Status } from "../Status";

const NAMES: Record<string, string> = {
  queued: "Queued",
  snapshot: "Files copied",
  environment: "Model environment",
  proof: "Fast path proven",
  pod: "Scoring server",
  loaded: "Model loaded",
  example: "Example scored",
  route: "Route live",
};

/** The steps to a live route, with how long each took. */
export function Phases({ of }: { of: Phase[] }) {
  const now = Date.now();
  return (
    <Stack gap={6}>
      {of.map((phase) => {
        const isOver = phase.ended_at !== null;
        const seconds = phase.seconds ?? (now - Date.parse(phase.began_at)) / 1000;
        return (
          <div key={phase.name} className="phase">
            {isOver ? (
              <IconCircleCheck size={16} color="var(--mantine-color-teal-6)" aria-label="done" />
            ) : (
              <IconLoader2 size={16} className="spin" aria-label="under way" />
            )}
            <Text size="sm">{NAMES[phase.name] ?? phase.name}</Text>
            <Text size="sm" className="num">
              {duration(seconds)}
            </Text>
            <Box miw={0} className="detail">
              <Text size="xs" c="dimmed" style={{ overflowWrap: "anywhere" }}>
                {phase.detail}
              </Text>
              {!isOver && phase.progress !== null && (
                <Progress value={phase.progress * 100} size="xs" aria-label={NAMES[phase.name] ?? phase.name} />
              )}
            </Box>
          </div>
        );
      })}
    </Stack>
  );
}

export function Pods({ of }: { of: Schema<"RevisionOut">[] }) {
  const pods = of.flatMap((revision) =>
    revision.pods.map((pod) => ({ ...pod, revision: revision.number, limit: revision.resources.memory_bytes })),
  );
  if (pods.length === 0)
    return (
      <Text size="sm" c="dimmed">
        No pod runs.
      </Text>
    );
  return (
    <Stack gap="sm">
      {pods.map((pod) => (
        <Box key={pod.id}>
          <Group gap="sm">
            <Status word={pod.phase} />
            <Text size="sm" ff="monospace">
              {pod.id.slice(-12)}
            </Text>
            <Text size="xs" c="dimmed">
              revision {pod.revision}
            </Text>
            {pod.restarts > 0 && (
              <Text size="xs" c="orange">
                {pod.restarts} restarts
              </Text>
            )}
            {pod.isolation && (
              <Text size="xs" c="dimmed">
                {pod.isolation}
              </Text>
            )}
          </Group>
          {pod.memory_bytes !== null && (
            <Group gap="xs" wrap="nowrap">
              <Progress flex={1} size="sm" value={(100 * pod.memory_bytes) / pod.limit} aria-label="Memory" />
              <Text size="xs" c="dimmed" style={{ flex: "none" }}>
                {bytes(pod.memory_bytes)} of {bytes(pod.limit)}
              </Text>
            </Group>
          )}
          {pod.failure && <Failure of={pod.failure} />}
        </Box>
      ))}
    </Stack>
  );
}

/** Why something ended badly, with its last lines; `said` where message and hint stand above it already. */
export function Failure({ of, said = false }: { of: Schema<"FailureOut">; said?: boolean }) {
  return (
    <Box mt={6} miw={0}>
      {!said && (
        <Text size="sm" c="red">
          {of.message}
        </Text>
      )}
      {!said && of.hint && (
        <Text size="xs" c="dimmed">
          {of.hint}
        </Text>
      )}
      {of.lines.length > 0 && (
        <Code block mt={4} fz={12} className="lines" tabIndex={0}>
          {of.lines.join("\n")}
        </Code>
      )}
    </Box>
  );
}

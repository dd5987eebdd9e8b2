import { Badge, Tooltip } from "@mantine/core";
import {
  IconAlertTriangle,
  IconCircleCheck,
  IconCircleX,
  IconClock,
  IconLoader2,
  IconMoon,
  IconPlayerStop,
  IconRefresh,
} from "@tabler/icons-react";
import type { ComponentType } from "react";

type Look = { color: string; icon: ComponentType<{ size?: number }>; variant?: string };

const LOOKS: Record<string, Look> = {
  ON: { color: "teal", icon: IconCircleCheck },
  Degraded: { color: "yellow", icon: IconAlertTriangle },
  Updating: { color: "blue", icon: IconRefresh },
  Queued: { color: "gray", icon: IconClock },
  Preparing: { color: "blue", icon: IconLoader2 },
  Starting: { color: "blue", icon: IconLoader2 },
  Idle: { color: "grape", icon: IconMoon },
  Stopping: { color: "gray", icon: IconPlayerStop },
  OFF: { color: "gray", icon: IconPlayerStop, variant: "outline" },
  Failed: { color: "red", icon: IconCircleX },
  FINISHED: { color: "teal", icon: IconCircleCheck },
  RUNNING: { color: "blue", icon: IconLoader2 },
  FAILED: { color: "red", icon: IconCircleX },
  KILLED: { color: "red", icon: IconPlayerStop },
  Done: { color: "teal", icon: IconCircleCheck },
  Running: { color: "blue", icon: IconLoader2 },
  Incomplete: { color: "yellow", icon: IconAlertTriangle },
  Damaged: { color: "red", icon: IconCircleX },
  Approved: { color: "teal", icon: IconCircleCheck },
  Rejected: { color: "red", icon: IconCircleX },
  Ready: { color: "teal", icon: IconCircleCheck },
  Unready: { color: "yellow", icon: IconAlertTriangle },
};

/** The one word, with a sign of its own: colour is never alone. */
export function Status({ word, says }: { word: string; says?: string }) {
  const look: Look = LOOKS[word] ?? { color: "gray", icon: IconClock };
  const Icon = look.icon;
  const badge = (
    <Badge
      color={look.color}
      variant={look.variant ?? "light"}
      size="sm"
      radius="sm"
      tt="none"
      miw="max-content"
      leftSection={<Icon size={12} />}
    >
      {word}
    </Badge>
  );
  return says ? (
    <Tooltip label={says} multiline maw={360}>
      {badge}
    </Tooltip>
  ) : (
    badge
  );
}

import { Button, Group, Stack, Text, Textarea } from "@mantine/core";
import { useState } from "react";
import { useAct } from "../../api/hooks";
import type { Run } from "../../api/types";
import { ErrorBox, Panel } from "../../parts/Bits";

/** The tag that MLflow keeps a run's description in. */
const NOTE = "mlflow.note.content";

/** What people say of a run: plain text, shown as it was written. */
export function Notes({ base, run }: { base: string; run: Run }) {
  const note = run.tags[NOTE] ?? "";
  const [draft, setDraft] = useState<string | null>(null);
  const act = useAct<Run>();
  const save = () =>
    act.mutate(
      { method: "PATCH", path: base, body: { tags: { [NOTE]: draft?.trim() ? draft : null } } },
      { onSuccess: () => setDraft(null) },
    );
  return (
    <Panel
      title="Notes"
      actions={
        draft === null &&
        !run.is_deleted && (
          <Button variant="default" size="compact-sm" onClick={() => setDraft(note)}>
            {note ? "Edit notes" : "Write notes"}
          </Button>
        )
      }
    >
      {draft === null ? (
        <Text size="sm" c={note ? undefined : "dimmed"} style={{ whiteSpace: "pre-wrap", overflowWrap: "anywhere" }}>
          {note || "What is this run about, and what came of it?"}
        </Text>
      ) : (
        <Stack gap="xs">
          <Textarea
            aria-label="Notes"
            value={draft}
            onChange={(event) => setDraft(event.currentTarget.value)}
            autosize
            minRows={3}
            maxRows={20}
            error={act.error?.fields.tags}
            data-autofocus
            autoFocus
          />
          {!act.error?.fields.tags && <ErrorBox problem={act.error} />}
          <Group gap="xs">
            <Button onClick={save} loading={act.isPending} disabled={draft === note}>
              Save notes
            </Button>
            <Button variant="default" onClick={() => setDraft(null)}>
              Cancel
            </Button>
          </Group>
        </Stack>
      )}
    </Panel>
  );
}

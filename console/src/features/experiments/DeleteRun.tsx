import { Alert, Button, Group, Modal, Stack, Text } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { IconTrash } from "@tabler/icons-react";
import { useState } from "react";
import { useNavigate } from "react-router";
import { useAct } from "../../api/hooks";
import type { Run } from "../../api/types";
import { ErrorBox } from "../../parts/Bits";

/** Asks, deletes, and goes to the runs that are left. */
export function DeleteRun({ base, run, list }: { base: string; run: Run; list: string }) {
  const [isOpen, setOpen] = useState(false);
  const act = useAct<void>();
  const go = useNavigate();
  // The button goes with what it deletes, before the answer to a plain mutation would be told to it.
  const remove = () =>
    act.mutateAsync({ method: "DELETE", path: base }).then(
      () => {
        notifications.show({ message: `${run.name || run.id} is deleted; its page can restore it.`, color: "teal" });
        go(list);
      },
      () => undefined,
    );
  return (
    <>
      <Button
        variant="default"
        leftSection={<IconTrash size={14} />}
        aria-label="Delete this run"
        onClick={() => setOpen(true)}
      >
        Delete
      </Button>
      <Modal opened={isOpen} onClose={() => setOpen(false)} title="Delete this run">
        <Stack gap="sm">
          <Text size="sm">
            <b>{run.name || run.id}</b> goes from all lists. Models that were made of it keep their own copy and go on.
            Its page, at the same address, can restore it until an administrator empties MLflow's bin.
          </Text>
          <ErrorBox problem={act.error} />
          <Group justify="flex-end">
            <Button variant="default" onClick={() => setOpen(false)}>
              Cancel
            </Button>
            <Button color="red.9" onClick={remove} loading={act.isPending}>
              Delete run
            </Button>
          </Group>
        </Stack>
      </Modal>
    </>
  );
}

/** Says that a run is deleted, and takes it back. */
export function Deleted({ base }: { base: string }) {
  const act = useAct<Run>();
  return (
    <Alert color="orange" title="This run is deleted" role="status">
      <Group justify="space-between">
        <Text size="sm">It is in no list, and cannot be changed or converted.</Text>
        <Button
          variant="default"
          loading={act.isPending}
          onClick={() => act.mutate({ method: "POST", path: `${base}/restore` })}
        >
          Restore
        </Button>
      </Group>
      <ErrorBox problem={act.error} />
    </Alert>
  );
}

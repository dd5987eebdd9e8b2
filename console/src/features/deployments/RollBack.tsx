import { Button, Group, Modal, Select, Stack, Text, TextInput } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { useState } from "react";
import { useAct } from "../../api/hooks";
import type { ProductionDetail } from "../../api/types";
import { ErrorBox, Snippet } from "../../parts/Bits";
import { shell } from "../../parts/saying";

const NEWEST = "the newest that served and differs";

/** Serves again as an earlier revision did; nothing is copied or built. */
export function RollBack({ base, of, close }: { base: string; of: ProductionDetail; close: () => void }) {
  const [to, setTo] = useState(NEWEST);
  const [reason, setReason] = useState("");
  const act = useAct<unknown>();
  const earlier = of.history.slice(1);
  const isMoving = of.rollout?.is_active ?? false;
  const roll = () =>
    act.mutate(
      { method: "POST", path: `${base}/rollback`, body: { reason, revision: to === NEWEST ? null : Number(to) } },
      {
        onSuccess: () => {
          notifications.show({
            message: isMoving
              ? "The old revision gets all requests again."
              : "A new revision serves as the earlier one did.",
            color: "teal",
          });
          close();
        },
      },
    );
  return (
    <Modal opened onClose={close} title={`Roll back ${of.name}`}>
      <Stack gap="sm">
        {isMoving ? (
          <Text size="sm">
            A rollout is under way: rolling back ends it, and revision {of.rollout?.old_revision} gets all requests
            again.
          </Text>
        ) : (
          <Select
            label="To"
            value={to}
            onChange={(value) => setTo(value ?? NEWEST)}
            allowDeselect={false}
            data={[
              { value: NEWEST, label: NEWEST },
              ...earlier.map((each) => ({
                value: String(each.number),
                label: `${each.number}: ${each.model} ${each.version}, ${each.memory}, ${each.cpus} CPU`,
              })),
            ]}
          />
        )}
        <TextInput
          label="Why"
          value={reason}
          onChange={(event) => setReason(event.currentTarget.value)}
          error={act.error?.fields.reason}
          data-autofocus
        />
        <ErrorBox problem={act.error} />
        <Snippet
          label="CLI"
          code={`taxiway production rollback ${of.name} --reason ${shell(reason)}${to === NEWEST ? "" : ` --to ${to}`}`}
        />
        <Group justify="flex-end">
          <Button variant="default" onClick={close}>
            Cancel
          </Button>
          <Button disabled={!reason.trim()} loading={act.isPending} onClick={roll}>
            Roll back
          </Button>
        </Group>
      </Stack>
    </Modal>
  );
}

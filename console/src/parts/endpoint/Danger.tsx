import { Button, Group, Modal, Stack, Text, TextInput } from "@mantine/core";
import { type ReactNode, useState } from "react";
import type { Problem } from "../../api/client";
import { ErrorBox } from "../Bits";

/** Asks for the name before something is gone for good. */
export function Danger({
  title,
  name,
  children,
  isOpen,
  close,
  act,
  isPending,
  problem,
}: {
  title: string;
  name: string;
  children: ReactNode;
  isOpen: boolean;
  close: () => void;
  act: () => void;
  isPending: boolean;
  problem: Problem | null;
}) {
  const [typed, setTyped] = useState("");
  return (
    <Modal opened={isOpen} onClose={close} title={title}>
      <Stack gap="sm">
        <Text size="sm">{children}</Text>
        <TextInput
          label={`Type ${name} to confirm`}
          value={typed}
          onChange={(event) => setTyped(event.currentTarget.value)}
          data-autofocus
        />
        <ErrorBox problem={problem} />
        <Group justify="flex-end">
          <Button variant="default" onClick={close}>
            Cancel
          </Button>
          <Button color="red.9" disabled={typed !== name} loading={isPending} onClick={act}>
            Delete
          </Button>
        </Group>
      </Stack>
    </Modal>
  );
}

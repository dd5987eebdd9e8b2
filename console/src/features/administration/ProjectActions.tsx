import { Button, Group, Modal, Stack, Textarea } from "@mantine/core";
import { useState } from "react";
import { part } from "../../api/client";
import { useAct } from "../../api/hooks";
import type { Schema } from "../../api/types";
import { ErrorBox } from "../../parts/Bits";
import { Danger } from "../../parts/endpoint/Danger";

/** Says anew what a project is for, or deletes it. */
export function ProjectActions({ of }: { of: Schema<"ProjectOut"> }) {
  const base = `/projects/${part(of.name)}`;
  const [asked, setAsked] = useState<"description" | "delete" | null>(null);
  const [description, setDescription] = useState(of.description);
  const act = useAct<unknown>();
  const close = () => {
    setAsked(null);
    act.reset();
  };
  return (
    <>
      <Button
        variant="default"
        size="compact-sm"
        aria-label={`Describe ${of.name}`}
        onClick={() => {
          setDescription(of.description);
          setAsked("description");
        }}
      >
        Describe
      </Button>
      <Button
        variant="subtle"
        color="red"
        size="compact-sm"
        aria-label={`Delete ${of.name}`}
        onClick={() => setAsked("delete")}
      >
        Delete
      </Button>
      <Modal opened={asked === "description"} onClose={close} title={`What ${of.name} is for`}>
        <Stack gap="sm">
          <Textarea
            aria-label="What it is for"
            value={description}
            onChange={(event) => setDescription(event.currentTarget.value)}
            error={act.error?.fields.description}
            autosize
            minRows={2}
            data-autofocus
          />
          {!act.error?.fields.description && <ErrorBox problem={act.error} />}
          <Group justify="flex-end">
            <Button variant="default" onClick={close}>
              Cancel
            </Button>
            <Button
              disabled={description === of.description}
              loading={act.isPending}
              onClick={() => act.mutate({ method: "PATCH", path: base, body: { description } }, { onSuccess: close })}
            >
              Save
            </Button>
          </Group>
        </Stack>
      </Modal>
      <Danger
        title={`Delete ${of.name}`}
        name={of.name}
        isOpen={asked === "delete"}
        close={close}
        act={() => act.mutate({ method: "DELETE", path: base }, { onSuccess: close })}
        isPending={act.isPending}
        problem={act.error}
      >
        It is refused while the project has models. Its runs stay in MLflow, where nobody sees them.
      </Danger>
    </>
  );
}

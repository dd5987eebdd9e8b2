import { ActionIcon, Button, Group, Menu, Modal, PasswordInput, Stack, Text } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { IconDots } from "@tabler/icons-react";
import { useState } from "react";
import { part } from "../../api/client";
import { useAct } from "../../api/hooks";
import type { Schema } from "../../api/types";
import { ErrorBox } from "../../parts/Bits";
import { Danger } from "../../parts/endpoint/Danger";

/** What an administrator can do with another's account. */
export function UserActions({ of }: { of: Schema<"UserOut"> }) {
  const base = `/users/${part(of.name)}`;
  const [asked, setAsked] = useState<"password" | "delete" | null>(null);
  const [password, setPassword] = useState("");
  const act = useAct<unknown>();
  const close = () => {
    setAsked(null);
    setPassword("");
    act.reset();
  };
  const give = () =>
    act.mutate(
      { method: "PUT", path: `${base}/password`, body: { password, must_change_password: true } },
      {
        onSuccess: () => {
          notifications.show({ message: `${of.name} signs in with it and chooses another.`, color: "teal" });
          close();
        },
      },
    );
  return (
    <>
      <Menu position="bottom-end">
        <Menu.Target>
          <ActionIcon variant="subtle" color="gray" aria-label={`More for ${of.name}`}>
            <IconDots size={16} />
          </ActionIcon>
        </Menu.Target>
        <Menu.Dropdown>
          {of.issuer === null && <Menu.Item onClick={() => setAsked("password")}>Give another password</Menu.Item>}
          <Menu.Item
            onClick={() => act.mutate({ method: "PATCH", path: base, body: { is_disabled: !of.is_disabled } })}
          >
            {of.is_disabled ? "Enable" : "Disable"}
          </Menu.Item>
          <Menu.Item color="red" onClick={() => setAsked("delete")}>
            Delete
          </Menu.Item>
        </Menu.Dropdown>
      </Menu>
      <Modal opened={asked === "password"} onClose={close} title={`Another password for ${of.name}`}>
        <Stack gap="sm">
          <Text size="sm">
            All sessions of {of.name} end. The next one begins with choosing a password of their own.
          </Text>
          <PasswordInput
            label="Password"
            value={password}
            onChange={(event) => setPassword(event.currentTarget.value)}
            error={act.error?.fields.password}
            autoComplete="new-password"
            data-autofocus
          />
          {!act.error?.fields.password && <ErrorBox problem={act.error} />}
          <Group justify="flex-end">
            <Button variant="default" onClick={close}>
              Cancel
            </Button>
            <Button disabled={!password} loading={act.isPending} onClick={give}>
              Give it
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
        Memberships, sessions and API tokens go with the account. It is refused while {of.name} owns deployments.
      </Danger>
    </>
  );
}

import { Button, Group, PasswordInput, Select, Stack, Table, TextInput } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { useState } from "react";
import { part } from "../../api/client";
import { useAct, useGet, useWhoAmI } from "../../api/hooks";
import type { Schema } from "../../api/types";
import { ErrorBox, Panel, Shown, Time } from "../../parts/Bits";
import { UserActions } from "./UserActions";

const ROLES = ["data-scientist", "administrator"];

export function Users() {
  const who = useWhoAmI();
  const found = useGet<Schema<"UserPage">>("/users", { query: { limit: 200 } });
  const add = useAct<unknown>();
  const change = useAct<unknown>();
  const [name, setName] = useState("");
  const [role, setRole] = useState("data-scientist");
  const [password, setPassword] = useState("");
  const create = () =>
    add.mutate(
      { method: "POST", path: "/users", body: { name, role, password, must_change_password: true } },
      {
        onSuccess: () => {
          notifications.show({ message: `${name} signs in with this password and chooses another.`, color: "teal" });
          setName("");
          setPassword("");
        },
      },
    );
  return (
    <Stack gap="md">
      <Panel title="Add a user">
        <Group align="flex-end" gap="xs">
          <TextInput
            label="Name"
            value={name}
            onChange={(event) => setName(event.currentTarget.value)}
            error={add.error?.fields.name}
            autoComplete="off"
          />
          <Select
            label="Role"
            data={ROLES}
            value={role}
            onChange={(value) => setRole(value ?? "data-scientist")}
            allowDeselect={false}
          />
          <PasswordInput
            label="First password"
            w={200}
            value={password}
            onChange={(event) => setPassword(event.currentTarget.value)}
            error={add.error?.fields.password}
            autoComplete="new-password"
          />
          <Button disabled={!name || !password} loading={add.isPending} onClick={create}>
            Add
          </Button>
        </Group>
        <ErrorBox problem={add.error} />
      </Panel>
      <Panel title="Users" pad={0}>
        <ErrorBox problem={change.error} />
        <Shown of={found}>
          {(page) => (
            <Table.ScrollContainer minWidth={560}>
              <Table>
                <Table.Thead>
                  <Table.Tr>
                    <Table.Th>Name</Table.Th>
                    <Table.Th>Role</Table.Th>
                    <Table.Th>Since</Table.Th>
                    <Table.Th />
                  </Table.Tr>
                </Table.Thead>
                <Table.Tbody>
                  {page.items.map((user) => {
                    const isSelf = user.name === who.data?.name;
                    return (
                      <Table.Tr key={user.name} opacity={user.is_disabled ? 0.6 : 1}>
                        <Table.Td>
                          {user.name}
                          {user.is_disabled ? " (disabled)" : ""}
                        </Table.Td>
                        <Table.Td>
                          <Select
                            aria-label={`Role of ${user.name}`}
                            w={150}
                            data={ROLES}
                            value={user.role}
                            disabled={isSelf}
                            allowDeselect={false}
                            onChange={(value) =>
                              value &&
                              change.mutate({
                                method: "PATCH",
                                path: `/users/${part(user.name)}`,
                                body: { role: value },
                              })
                            }
                          />
                        </Table.Td>
                        <Table.Td>
                          <Time at={user.created_at} />
                        </Table.Td>
                        <Table.Td ta="right">{!isSelf && <UserActions of={user} />}</Table.Td>
                      </Table.Tr>
                    );
                  })}
                </Table.Tbody>
              </Table>
            </Table.ScrollContainer>
          )}
        </Shown>
      </Panel>
    </Stack>
  );
}

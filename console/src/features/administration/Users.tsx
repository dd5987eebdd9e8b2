import { Button, Group, PasswordInput, Select, Stack, Text, TextInput } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { useState } from "react";
import { part } from "../../api/client";
import { useAct, useGet, useWhoAmI } from "../../api/hooks";
import type { Schema } from "../../api/types";
import { ErrorBox, Panel, Shown, Time } from "../../parts/Bits";
import { Rows } from "../../parts/Rows";
import { UserActions } from "./UserActions";

const ROLES = ["data-scientist", "administrator"];

export function Users() {
  const who = useWhoAmI();
  const isSelf = (name: string) => name === who.data?.name;
  const ways = useGet<Schema<"WaysInOut">>("/sign-in");
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
        {ways.data?.passwords === false ? (
          <Text size="sm">
            Passwords are turned off: whoever is in a group that counts becomes a user by signing in with{" "}
            {ways.data.provider ?? "the identity provider"}.
          </Text>
        ) : (
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
        )}
        <ErrorBox problem={add.error} />
      </Panel>
      <Panel title="Users" pad={0}>
        <ErrorBox problem={change.error} />
        <Shown of={found}>
          {(page) => (
            <Rows
              of={page.items}
              keyOf={(user) => user.name}
              isFaded={(user) => user.is_disabled}
              columns={[
                { label: "Name", cell: (user) => `${user.name}${user.is_disabled ? " (disabled)" : ""}` },
                {
                  label: "Role",
                  cell: (user) => (
                    <Select
                      aria-label={`Role of ${user.name}`}
                      w={150}
                      data={ROLES}
                      value={user.role}
                      disabled={isSelf(user.name) || user.issuer !== null}
                      allowDeselect={false}
                      onChange={(value) =>
                        value &&
                        change.mutate({ method: "PATCH", path: `/users/${part(user.name)}`, body: { role: value } })
                      }
                    />
                  ),
                },
                { label: "Signs in with", cell: (user) => user.issuer ?? "a password" },
                { label: "Since", cell: (user) => <Time at={user.created_at} /> },
                { label: "", cell: (user) => !isSelf(user.name) && <UserActions of={user} /> },
              ]}
            />
          )}
        </Shown>
      </Panel>
    </Stack>
  );
}

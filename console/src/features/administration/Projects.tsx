import { Badge, Button, CloseButton, Group, Select, Stack, Text, TextInput } from "@mantine/core";
import { useState } from "react";
import { part } from "../../api/client";
import { useAct, useGet } from "../../api/hooks";
import type { Schema } from "../../api/types";
import { Empty, ErrorBox, Panel, Shown } from "../../parts/Bits";
import { ProjectActions } from "./ProjectActions";

export function Projects() {
  const found = useGet<Schema<"ProjectPage">>("/projects", { query: { limit: 200 } });
  const users = useGet<Schema<"UserPage">>("/users", { query: { limit: 200 } });
  const add = useAct<unknown>();
  const [name, setName] = useState("");
  const [description, setDescription] = useState("");
  return (
    <Stack gap="md">
      <Panel title="Make a project">
        <Group align="flex-end" gap="xs">
          <TextInput
            label="Name"
            value={name}
            onChange={(event) => setName(event.currentTarget.value)}
            error={add.error?.fields.name}
          />
          <TextInput
            label="What it is for"
            w={320}
            value={description}
            onChange={(event) => setDescription(event.currentTarget.value)}
          />
          <Button
            disabled={!name}
            loading={add.isPending}
            onClick={() =>
              add.mutate(
                { method: "POST", path: "/projects", body: { name, description } },
                { onSuccess: () => setName("") },
              )
            }
          >
            Make
          </Button>
        </Group>
        <ErrorBox problem={add.error} />
      </Panel>
      <Shown of={found}>
        {(page) =>
          page.items.length ? (
            page.items.map((project) => (
              <Project key={project.name} of={project} users={(users.data?.items ?? []).map((user) => user.name)} />
            ))
          ) : (
            <Empty title="No projects yet">
              A project is a team's space: its experiments, its models, its members.
            </Empty>
          )
        }
      </Shown>
    </Stack>
  );
}

function Project({ of, users }: { of: Schema<"ProjectOut">; users: string[] }) {
  const base = `/projects/${part(of.name)}/members`;
  const members = useGet<Schema<"MemberList">>(base);
  const act = useAct<unknown>();
  const names = (members.data?.items ?? []).map((member) => member.name);
  return (
    <Panel title={of.name} actions={<ProjectActions of={of} />}>
      <Stack gap="xs">
        {of.description && (
          <Text size="sm" c="dimmed">
            {of.description}
          </Text>
        )}
        <Group gap="xs">
          {names.map((name) => (
            <Badge
              key={name}
              variant="default"
              tt="none"
              size="lg"
              rightSection={
                <CloseButton
                  size={16}
                  aria-label={`Remove ${name}`}
                  onClick={() => act.mutate({ method: "DELETE", path: `${base}/${part(name)}` })}
                />
              }
            >
              {name}
            </Badge>
          ))}
          <Select
            placeholder="Add a member"
            aria-label={`Add a member to ${of.name}`}
            w={180}
            searchable
            value={null}
            data={users.filter((name) => !names.includes(name))}
            onChange={(name) => name && act.mutate({ method: "PUT", path: `${base}/${part(name)}` })}
          />
        </Group>
        <ErrorBox problem={act.error} />
      </Stack>
    </Panel>
  );
}

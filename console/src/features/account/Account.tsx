import { Alert, Button, Group, NumberInput, PasswordInput, Select, Stack, Tabs, Text, TextInput } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { type FormEvent, useState } from "react";
import { useNavigate } from "react-router";
import { useAct, useGet, useWhoAmI } from "../../api/hooks";
import type { Schema } from "../../api/types";
import { ErrorBox, Facts, Page, Panel, Shown, Snippet, Time } from "../../parts/Bits";
import { useProjects } from "../../parts/Projects";
import { Rows } from "../../parts/Rows";
import { useUrl } from "../../parts/useUrl";
import { useWaysIn } from "../sign-in/WaysIn";

export default function Account() {
  const who = useWhoAmI();
  const ways = useWaysIn();
  const [tab, setTab] = useUrl("tab", "tokens");
  const hasPassword = who.data?.issuer === null && ways.data?.passwords !== false;
  return (
    <Page title="Account">
      {who.data?.must_change_password && <Alert color="yellow" title="Choose a password of your own first" />}
      {who.data && (
        <Panel>
          <Facts
            of={[
              ["Name", who.data.name],
              ["Role", who.data.role],
              ["Projects", who.data.projects.join(", ") || "none"],
              ["Signs in with", who.data.issuer ?? "a password"],
            ]}
          />
        </Panel>
      )}
      <Tabs value={tab} onChange={(value) => setTab(value ?? "tokens")}>
        <Tabs.List mb="md">
          <Tabs.Tab value="tokens">API tokens</Tabs.Tab>
          <Tabs.Tab value="sessions">Sessions</Tabs.Tab>
          {hasPassword && <Tabs.Tab value="password">Password</Tabs.Tab>}
        </Tabs.List>
        <Tabs.Panel value="tokens">
          <Tokens />
        </Tabs.Panel>
        <Tabs.Panel value="sessions">
          <Sessions />
        </Tabs.Panel>
        {hasPassword && (
          <Tabs.Panel value="password">
            <Password />
          </Tabs.Panel>
        )}
      </Tabs>
    </Page>
  );
}

function Tokens() {
  const found = useGet<Schema<"ApiTokenList">>("/tokens");
  const platform = useGet<Schema<"PlatformOut">>("/platform");
  const act = useAct<Schema<"IssuedApiTokenOut">>();
  const revoke = useAct<void>();
  const [name, setName] = useState("");
  const projects = useProjects();
  const [project, setProject] = useState<string | null>(null);
  const [days, setDays] = useState<number | string>(90);
  return (
    <Stack gap="md">
      <Panel title="Make a token for MLflow, the command line or a program">
        <Stack gap="sm">
          <Group align="flex-end" gap="xs">
            <TextInput
              label="What it is for"
              value={name}
              onChange={(event) => setName(event.currentTarget.value)}
              error={act.error?.fields.name}
            />
            <Select
              label="Project of its MLflow calls"
              data={projects.data?.items.map((each) => each.name) ?? []}
              value={project}
              onChange={setProject}
              clearable
            />
            <NumberInput label="Days" w={90} min={1} max={366} value={days} onChange={setDays} />
            <Button
              disabled={!name}
              loading={act.isPending}
              onClick={() =>
                act.mutate({ method: "POST", path: "/tokens", body: { name, project, days: Number(days) } })
              }
            >
              Make a token
            </Button>
          </Group>
          <ErrorBox problem={act.error ?? revoke.error} />
          {act.data && (
            <Alert color="teal" title="It is shown this once" withCloseButton onClose={act.reset}>
              <Snippet
                label="environment"
                code={`export MLFLOW_TRACKING_URI=${platform.data?.tracking_uri ?? ""}\nexport MLFLOW_TRACKING_TOKEN=${act.data.token}`}
              />
            </Alert>
          )}
        </Stack>
      </Panel>
      <Panel title="API tokens" pad={0}>
        <Shown of={found}>
          {(list) => (
            <Rows
              of={list.items}
              keyOf={(token) => token.id}
              columns={[
                { label: "Name", cell: (token) => token.name },
                { label: "Project", cell: (token) => token.project ?? "–" },
                { label: "Made", cell: (token) => <Time at={token.created_at} /> },
                { label: "Used", cell: (token) => <Time at={token.used_at} /> },
                { label: "Expires", cell: (token) => <Time at={token.expires_at} /> },
                {
                  label: "",
                  cell: (token) =>
                    token.revoked_at ? (
                      <Text size="xs" c="dimmed">
                        revoked
                      </Text>
                    ) : (
                      <Button
                        size="compact-xs"
                        variant="subtle"
                        color="red"
                        onClick={() => revoke.mutate({ method: "DELETE", path: `/tokens/${token.id}` })}
                      >
                        Revoke
                      </Button>
                    ),
                },
              ]}
            />
          )}
        </Shown>
      </Panel>
    </Stack>
  );
}

function Sessions() {
  const found = useGet<Schema<"SessionList">>("/sessions");
  const end = useAct<void>();
  return (
    <Panel title="Where you are signed in" pad={0}>
      <Shown of={found}>
        {(list) => (
          <Rows
            of={list.items}
            keyOf={(session) => session.id}
            columns={[
              { label: "Browser", cell: (session) => session.user_agent || "–" },
              { label: "From", cell: (session) => session.source },
              { label: "Since", cell: (session) => <Time at={session.created_at} /> },
              { label: "Seen", cell: (session) => <Time at={session.seen_at} /> },
              {
                label: "",
                cell: (session) =>
                  session.is_this ? (
                    <Text size="xs" c="dimmed">
                      this one
                    </Text>
                  ) : (
                    <Button
                      size="compact-xs"
                      variant="subtle"
                      color="red"
                      onClick={() => end.mutate({ method: "DELETE", path: `/sessions/${session.id}` })}
                    >
                      End
                    </Button>
                  ),
              },
            ]}
          />
        )}
      </Shown>
    </Panel>
  );
}

function Password() {
  const who = useWhoAmI();
  const go = useNavigate();
  const act = useAct<void>();
  const [old, setOld] = useState("");
  const [next, setNext] = useState("");
  const submit = (event: FormEvent) => {
    event.preventDefault();
    const must = who.data?.must_change_password;
    act.mutate(
      { method: "PUT", path: "/session/password", body: { old, new: next } },
      {
        onSuccess: () => {
          notifications.show({ message: "The password is changed; your other sessions ended.", color: "teal" });
          setOld("");
          setNext("");
          if (must) go("/");
        },
      },
    );
  };
  return (
    <Panel title="Change the password">
      <form onSubmit={submit}>
        <Stack gap="sm" maw={340}>
          <PasswordInput
            label="Present password"
            value={old}
            onChange={(event) => setOld(event.currentTarget.value)}
            autoComplete="current-password"
            error={act.error?.fields.old}
          />
          <PasswordInput
            label="New password"
            description="8 characters or more."
            value={next}
            onChange={(event) => setNext(event.currentTarget.value)}
            autoComplete="new-password"
            error={act.error?.fields.new ?? act.error?.fields.password}
          />
          <ErrorBox problem={act.error} />
          <Button type="submit" loading={act.isPending} disabled={!old || !next}>
            Change
          </Button>
        </Stack>
      </form>
    </Panel>
  );
}

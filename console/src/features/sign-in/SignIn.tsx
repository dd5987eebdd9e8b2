import { Box, Button, Center, Group, Paper, PasswordInput, Stack, Text, TextInput, Title } from "@mantine/core";
import { useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { useNavigate, useSearchParams } from "react-router";
import { useAct } from "../../api/hooks";
import type { WhoAmI } from "../../api/types";
import icon from "../../app/icon.svg";
import { ErrorBox } from "../../parts/Bits";

/** Only addresses of this console: somebody else's link must not lead away after signing in. */
export function nextOf(text: string | null): string {
  return text && /^\/(?!\/|\\)/.test(text) && !text.startsWith("/sign-in") ? text : "/";
}

export default function SignIn() {
  const [name, setName] = useState("");
  const [password, setPassword] = useState("");
  const [query] = useSearchParams();
  const client = useQueryClient();
  const go = useNavigate();
  const act = useAct<WhoAmI>();
  const submit = (event: FormEvent) => {
    event.preventDefault();
    act.mutate(
      { method: "POST", path: "/session", body: { name, password } },
      {
        onSuccess: (who) => {
          client.clear();
          client.setQueryData(["/session", {}], who);
          go(nextOf(query.get("next")), { replace: true });
        },
      },
    );
  };
  return (
    <Center mih="100vh" p="md">
      <Paper withBorder radius="md" p="xl" w={380} component="main">
        <form onSubmit={submit}>
          <Stack gap="sm">
            <Group gap="sm">
              <img src={icon} width={32} height={32} alt="" />
              <Title order={1}>Taxiway</Title>
            </Group>
            <Text size="sm" c="dimmed">
              From an MLflow run to production traffic.
            </Text>
            <TextInput
              label="Name"
              size="sm"
              value={name}
              onChange={(event) => setName(event.currentTarget.value)}
              autoComplete="username"
              autoFocus
              required
            />
            <PasswordInput
              label="Password"
              size="sm"
              value={password}
              onChange={(event) => setPassword(event.currentTarget.value)}
              autoComplete="current-password"
              required
            />
            <ErrorBox problem={act.error} />
            <Button type="submit" size="sm" loading={act.isPending}>
              Sign in
            </Button>
            <Box fz="xs" c="dimmed">
              The first administrator's password was printed by <code>taxiway up</code>.
            </Box>
          </Stack>
        </form>
      </Paper>
    </Center>
  );
}

import {
  Box,
  Button,
  Center,
  Divider,
  Group,
  Paper,
  PasswordInput,
  Stack,
  Text,
  TextInput,
  Title,
} from "@mantine/core";
import { useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { useNavigate, useSearchParams } from "react-router";
import { useAct } from "../../api/hooks";
import type { WhoAmI } from "../../api/types";
import icon from "../../app/icon.svg";
import { ErrorBox, Shown } from "../../parts/Bits";
import { Ended, ProviderButton, useWaysIn } from "./WaysIn";

/** Only addresses of this console: somebody else's link must not lead away after signing in. */
export function nextOf(text: string | null): string {
  return text && /^\/(?!\/|\\)/.test(text) && !text.startsWith("/sign-in") ? text : "/";
}

export default function SignIn() {
  const [query] = useSearchParams();
  const ways = useWaysIn(query.get("problem"));
  const next = nextOf(query.get("next"));
  return (
    <Center mih="100vh" p="md" className="ground">
      <Paper withBorder radius="md" p="xl" w={380} component="main">
        <Stack gap="sm">
          <Group gap="sm">
            <img src={icon} width={32} height={32} alt="" />
            <Title order={1}>Taxiway</Title>
          </Group>
          <Text size="sm" c="dimmed">
            From an MLflow run to production traffic.
          </Text>
          <Shown of={ways} rows={3}>
            {(found) => (
              <>
                <Ended ways={found} />
                {found.provider && <ProviderButton name={found.provider} next={next} />}
                {found.provider && found.passwords && <Divider label="or with a password" />}
                {found.passwords && <WithPassword next={next} isFirst={!found.provider} />}
              </>
            )}
          </Shown>
        </Stack>
      </Paper>
    </Center>
  );
}

function WithPassword({ next, isFirst }: { next: string; isFirst: boolean }) {
  const [name, setName] = useState("");
  const [password, setPassword] = useState("");
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
          go(next, { replace: true });
        },
      },
    );
  };
  return (
    <form onSubmit={submit}>
      <Stack gap="sm">
        <TextInput
          label="Name"
          size="sm"
          value={name}
          onChange={(event) => setName(event.currentTarget.value)}
          autoComplete="username"
          autoFocus={isFirst}
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
        <Button type="submit" size="sm" variant={isFirst ? "filled" : "default"} loading={act.isPending}>
          Sign in
        </Button>
        <Box fz="xs" c="dimmed">
          The first administrator's password was printed by <code>taxiway up</code>.
        </Box>
      </Stack>
    </form>
  );
}

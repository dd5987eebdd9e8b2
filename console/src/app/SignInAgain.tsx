import { Button, Modal, PasswordInput, Stack, Text } from "@mantine/core";
import { useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { Problem, send } from "../api/client";
import type { WhoAmI } from "../api/types";
import { ProviderButton, useWaysIn } from "../features/sign-in/WaysIn";
import { ErrorBox, Shown } from "../parts/Bits";

/** Asks who it is where a session ended: what is half filled in behind it stays. */
export function SignInAgain({ who, isOpen }: { who: WhoAmI; isOpen: boolean }) {
  const ways = useWaysIn(null, isOpen);
  return (
    <Modal opened={isOpen} onClose={() => undefined} withCloseButton={false} title="Your session has ended" centered>
      <Stack gap="sm">
        <Text size="sm">Sign in again as {who.name}; what you have filled in is still there.</Text>
        <Shown of={ways} rows={2}>
          {({ provider, passwords }) =>
            provider && (who.issuer || !passwords) ? (
              <>
                <ProviderButton name={provider} next="/account" again={who.name} />
                <Text size="xs" c="dimmed">
                  It opens in a new tab. Come back to this one afterwards.
                </Text>
              </>
            ) : (
              <WithPassword name={who.name} />
            )
          }
        </Shown>
      </Stack>
    </Modal>
  );
}

function WithPassword({ name }: { name: string }) {
  const client = useQueryClient();
  const [password, setPassword] = useState("");
  const [problem, setProblem] = useState<Problem | null>(null);
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    try {
      const who = await send<WhoAmI>("POST", "/session", { body: { name, password } });
      setPassword("");
      setProblem(null);
      client.setQueryData(["/session", {}], who);
      await client.invalidateQueries();
    } catch (caught) {
      if (caught instanceof Problem) setProblem(caught);
    }
  };
  return (
    <form onSubmit={submit}>
      <Stack gap="sm">
        <PasswordInput
          label="Password"
          value={password}
          onChange={(event) => setPassword(event.currentTarget.value)}
          autoComplete="current-password"
          data-autofocus
        />
        <ErrorBox problem={problem} />
        <Button type="submit" disabled={!password}>
          Sign in
        </Button>
      </Stack>
    </form>
  );
}

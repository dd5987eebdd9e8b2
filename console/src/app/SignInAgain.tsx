import { Button, Modal, PasswordInput, Stack, Text } from "@mantine/core";
import { useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { Problem, send } from "../api/client";
import type { WhoAmI } from "../api/types";
import { ErrorBox } from "../parts/Bits";

/** Asks for the password where a session ended: what is half filled in behind it stays. */
export function SignInAgain({ name, isOpen }: { name: string; isOpen: boolean }) {
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
    <Modal opened={isOpen} onClose={() => undefined} withCloseButton={false} title="Your session has ended" centered>
      <form onSubmit={submit}>
        <Stack gap="sm">
          <Text size="sm">Sign in again as {name}; what you have filled in is still there.</Text>
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
    </Modal>
  );
}

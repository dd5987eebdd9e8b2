import { Alert, Button, Group, NumberInput, Stack, Text, TextInput } from "@mantine/core";
import { useState } from "react";
import { useAct, useGet } from "../../api/hooks";
import type { Schema } from "../../api/types";
import { Empty, ErrorBox, Guarded, Panel, Shown, Snippet, Time } from "../Bits";
import { Rows } from "../Rows";

/** What callers show to the endpoint. */
export function Tokens({ base, allowed, reason }: { base: string; allowed: boolean; reason: string }) {
  const found = useGet<Schema<"AccessTokenList">>(`${base}/access-tokens`);
  const issue = useAct<Schema<"IssuedAccessTokenOut">>();
  const revoke = useAct<void>();
  const [caller, setCaller] = useState("");
  const [days, setDays] = useState<number | string>(90);
  return (
    <Panel title="Access tokens">
      <Stack gap="sm">
        <Group align="flex-end" gap="xs">
          <TextInput
            label="Caller"
            placeholder="the program that will call"
            value={caller}
            onChange={(event) => setCaller(event.currentTarget.value)}
            error={issue.error?.fields.caller}
          />
          <NumberInput label="Days" w={90} min={1} max={366} value={days} onChange={setDays} />
          <Guarded
            label="Issue a token"
            allowed={allowed && caller !== ""}
            reason={allowed ? "Name the caller first." : reason}
            loading={issue.isPending}
            onClick={() =>
              issue.mutate(
                { method: "POST", path: `${base}/access-tokens`, body: { caller, days: Number(days) } },
                { onSuccess: () => setCaller("") },
              )
            }
          />
        </Group>
        <ErrorBox problem={issue.error ?? revoke.error} />
        {issue.data && (
          <Alert
            color="teal"
            title={`For ${issue.data.caller}; it is shown this once`}
            withCloseButton
            onClose={issue.reset}
          >
            <Snippet code={issue.data.token} label="token" />
          </Alert>
        )}
        <Shown of={found}>
          {(list) =>
            list.items.length ? (
              <Rows
                of={list.items}
                keyOf={(token) => token.id}
                minWidth={480}
                columns={[
                  { label: "Caller", cell: (token) => token.caller },
                  { label: "Issued", cell: (token) => <Time at={token.created_at} /> },
                  { label: "Expires", cell: (token) => <Time at={token.expires_at} /> },
                  { label: "By", cell: (token) => token.created_by },
                  {
                    label: "",
                    cell: (token) =>
                      token.revoked_at ? (
                        <Text size="xs" c="dimmed">
                          revoked <Time at={token.revoked_at} />
                        </Text>
                      ) : (
                        <Button
                          variant="subtle"
                          color="red"
                          size="compact-xs"
                          disabled={!allowed}
                          onClick={() => revoke.mutate({ method: "DELETE", path: `${base}/access-tokens/${token.id}` })}
                        >
                          Revoke
                        </Button>
                      ),
                  },
                ]}
              />
            ) : (
              <Empty title="No tokens yet">Callers need one, unless the endpoint is open.</Empty>
            )
          }
        </Shown>
      </Stack>
    </Panel>
  );
}

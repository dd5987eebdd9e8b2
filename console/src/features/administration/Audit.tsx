import { Alert, Badge, Button, Code, Group, Select, Stack, Table, Text, TextInput } from "@mantine/core";
import { IconDownload, IconShieldCheck } from "@tabler/icons-react";
import { useInfiniteQuery } from "@tanstack/react-query";
import { Fragment, useState } from "react";
import { get, type Problem, urlOf } from "../../api/client";
import { useGet } from "../../api/hooks";
import type { Schema } from "../../api/types";
import { Empty, ErrorBox, Panel, Time, Waiting } from "../../parts/Bits";
import { useUrl } from "../../parts/useUrl";

type AuditPage = Schema<"AuditPage">;

export function Audit() {
  const [actor, setActor] = useUrl("actor");
  const [action, setAction] = useUrl("action");
  const [object, setObject] = useUrl("object");
  const [outcome, setOutcome] = useUrl("outcome");
  const [isVerifying, setVerifying] = useState(false);
  const [open, setOpen] = useState<number | null>(null);
  const query = { actor, action, object, outcome, limit: 50 };
  const found = useInfiniteQuery<AuditPage, Problem>({
    queryKey: ["/audit", query],
    queryFn: ({ pageParam }) => get<AuditPage>("/audit", { ...query, cursor: pageParam as string }),
    initialPageParam: "",
    getNextPageParam: (last) => last.next_cursor ?? undefined,
    placeholderData: (before) => before,
  });
  const verdict = useGet<Schema<"AuditVerdictOut">>("/audit/verify", { enabled: isVerifying });
  const entries = found.data?.pages.flatMap((page) => page.items) ?? [];
  return (
    <Stack gap="md">
      <Group gap="xs" align="flex-end">
        <TextInput label="Who" value={actor} onChange={(event) => setActor(event.currentTarget.value)} />
        <TextInput
          label="Action"
          placeholder="production.promote"
          value={action}
          onChange={(event) => setAction(event.currentTarget.value)}
        />
        <TextInput
          label="Object"
          placeholder="production/fraud-acme"
          value={object}
          onChange={(event) => setObject(event.currentTarget.value)}
        />
        <Select
          label="Outcome"
          w={120}
          value={outcome}
          onChange={(value) => setOutcome(value ?? "")}
          data={[
            { value: "", label: "any" },
            { value: "done", label: "done" },
            { value: "denied", label: "denied" },
          ]}
          allowDeselect={false}
        />
        <Button
          variant="default"
          leftSection={<IconShieldCheck size={14} />}
          onClick={() => setVerifying(true)}
          loading={isVerifying && verdict.isPending}
        >
          Verify
        </Button>
        <Button
          component="a"
          variant="default"
          href={urlOf("/audit/export")}
          download
          leftSection={<IconDownload size={14} />}
        >
          Export
        </Button>
      </Group>
      {isVerifying && verdict.data && (
        <Alert
          color={verdict.data.is_intact ? "teal" : "red"}
          title={
            verdict.data.is_intact
              ? `All ${verdict.data.entries} entries are as they were written`
              : `Entry ${verdict.data.broken_at} is not as it was written`
          }
          withCloseButton
          onClose={() => setVerifying(false)}
        >
          The chain ends in <Code>{verdict.data.head.slice(0, 16)}</Code>
        </Alert>
      )}
      <Panel pad={0}>
        {found.error ? (
          <ErrorBox problem={found.error} />
        ) : found.isPending ? (
          <Waiting rows={8} />
        ) : entries.length === 0 ? (
          <Empty title="No entry fits" />
        ) : (
          <Table.ScrollContainer minWidth={760}>
            <Table highlightOnHover>
              <Table.Thead>
                <Table.Tr>
                  <Table.Th>When</Table.Th>
                  <Table.Th>Who</Table.Th>
                  <Table.Th>Action</Table.Th>
                  <Table.Th>Object</Table.Th>
                  <Table.Th>Outcome</Table.Th>
                  <Table.Th>From</Table.Th>
                  <Table.Th />
                </Table.Tr>
              </Table.Thead>
              <Table.Tbody>
                {entries.map((entry) => (
                  <Fragment key={entry.sequence}>
                    <Table.Tr>
                      <Table.Td>
                        <Time at={entry.at} />
                      </Table.Td>
                      <Table.Td>{entry.actor}</Table.Td>
                      <Table.Td>
                        <Code>{entry.action}</Code>
                      </Table.Td>
                      <Table.Td>{entry.object}</Table.Td>
                      <Table.Td>
                        <Badge variant="light" tt="none" color={entry.outcome === "done" ? "teal" : "red"}>
                          {entry.outcome}
                        </Badge>
                      </Table.Td>
                      <Table.Td>{entry.source || entry.auth_method}</Table.Td>
                      <Table.Td ta="right">
                        <Button
                          size="compact-xs"
                          variant="subtle"
                          aria-expanded={open === entry.sequence}
                          onClick={() => setOpen(open === entry.sequence ? null : entry.sequence)}
                        >
                          Details
                        </Button>
                      </Table.Td>
                    </Table.Tr>
                    {open === entry.sequence && (
                      <Table.Tr>
                        <Table.Td colSpan={7}>
                          <Code block>
                            {JSON.stringify(
                              {
                                before: entry.before,
                                after: entry.after,
                                reason: entry.reason,
                                request_id: entry.request_id,
                                hash: entry.hash,
                              },
                              null,
                              2,
                            )}
                          </Code>
                        </Table.Td>
                      </Table.Tr>
                    )}
                  </Fragment>
                ))}
              </Table.Tbody>
            </Table>
          </Table.ScrollContainer>
        )}
      </Panel>
      {found.hasNextPage && (
        <Button
          variant="default"
          w="fit-content"
          loading={found.isFetchingNextPage}
          onClick={() => found.fetchNextPage()}
        >
          Older entries
        </Button>
      )}
      <Text size="xs" c="dimmed">
        {entries.length} entries shown, newest first.
      </Text>
    </Stack>
  );
}

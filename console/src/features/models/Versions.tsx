import { Anchor, Badge, Group, Select, Stack, Table, Text } from "@mantine/core";
import { Link } from "react-router";
import { useGet } from "../../api/hooks";
import type { Schema, VersionDetail } from "../../api/types";
import { Panel, Shown, Time } from "../../parts/Bits";
import { ContractChanges } from "../../parts/ContractChanges";
import { Status } from "../../parts/Status";
import { useUrl } from "../../parts/useUrl";

/** All versions of the model, and what callers may feel between this one and another. */
export function Versions({ of }: { of: VersionDetail }) {
  const [since, setSince] = useUrl("since");
  const all = useGet<Schema<"ModelVersionPage">>("/models", {
    query: { project: of.project, model: of.model, limit: 200 },
  });
  const changes = useGet<Schema<"ContractChangesOut">>(
    `/projects/${of.project}/models/${of.model}/versions/${of.version}/contract-changes`,
    { query: { since } },
  );
  const others = (all.data?.items ?? []).filter((each) => each.version !== of.version);
  return (
    <Stack gap="md">
      <Panel title="Versions" pad={0}>
        <Shown of={all}>
          {(page) => (
            <Table.ScrollContainer minWidth={420}>
              <Table highlightOnHover>
                <Table.Thead>
                  <Table.Tr>
                    <Table.Th>Version</Table.Th>
                    <Table.Th>Status</Table.Th>
                    <Table.Th>Owner</Table.Th>
                    <Table.Th>Made</Table.Th>
                  </Table.Tr>
                </Table.Thead>
                <Table.Tbody>
                  {page.items.map((each) => (
                    <Table.Tr key={each.version}>
                      <Table.Td>
                        <Anchor component={Link} to={`/models/${each.project}/${each.model}/${each.version}`} size="sm">
                          {each.version}
                        </Anchor>
                        {each.version === of.version && (
                          <Badge ml={6} size="xs" variant="light">
                            this
                          </Badge>
                        )}
                      </Table.Td>
                      <Table.Td>
                        <Status word={each.status} says={each.message} />
                      </Table.Td>
                      <Table.Td>{each.owner}</Table.Td>
                      <Table.Td>
                        <Time at={each.created_at} />
                      </Table.Td>
                    </Table.Tr>
                  ))}
                </Table.Tbody>
              </Table>
            </Table.ScrollContainer>
          )}
        </Shown>
      </Panel>
      <Panel
        title="Contract"
        actions={
          others.length > 0 && (
            <Group gap="xs">
              <Text size="xs" c="dimmed">
                compared with version
              </Text>
              <Select
                w={80}
                aria-label="Compared with"
                value={since || String(changes.data?.since ?? "")}
                onChange={(value) => setSince(value ?? "")}
                data={others.map((each) => String(each.version))}
              />
            </Group>
          )
        }
      >
        <Shown of={changes}>
          {(found) =>
            found.since === null ? (
              <Text size="sm" c="dimmed">
                There is no version before it.
              </Text>
            ) : (
              <ContractChanges of={found.changes} isCompatible={found.is_compatible} />
            )
          }
        </Shown>
      </Panel>
    </Stack>
  );
}

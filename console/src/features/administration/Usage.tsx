import { Group, Stack, Table, Text, TextInput } from "@mantine/core";
import { useGet } from "../../api/hooks";
import type { Schema } from "../../api/types";
import { Empty, Panel, Shown, Time } from "../../parts/Bits";
import { figure } from "../../parts/format";
import { useUrl } from "../../parts/useUrl";

/** What customers used, and what served them at a moment. */
export function Usage() {
  const today = new Date().toISOString().slice(0, 10);
  const [since, setSince] = useUrl("since", `${today.slice(0, 8)}01`);
  const [until, setUntil] = useUrl("until", today);
  const [customer, setCustomer] = useUrl("customer");
  const found = useGet<Schema<"UsageList">>("/production/usage", { query: { since, until, customer }, keeps: true });
  return (
    <Stack gap="md">
      <Group gap="xs" align="flex-end">
        <TextInput
          type="date"
          label="From"
          value={since}
          onChange={(event) => setSince(event.currentTarget.value)}
          error={found.error?.fields.since}
        />
        <TextInput type="date" label="To" value={until} onChange={(event) => setUntil(event.currentTarget.value)} />
        <TextInput label="Customer" value={customer} onChange={(event) => setCustomer(event.currentTarget.value)} />
      </Group>
      <Panel title="What was used" pad={0}>
        <Shown of={found}>
          {(list) =>
            list.items.length === 0 ? (
              <Empty title="Nothing was used on these days">Every minute of production is put on an account.</Empty>
            ) : (
              <Table.ScrollContainer minWidth={640}>
                <Table>
                  <Table.Thead>
                    <Table.Tr>
                      <Table.Th>Deployment</Table.Th>
                      <Table.Th>Customer</Table.Th>
                      <Table.Th className="num">Requests</Table.Th>
                      <Table.Th className="num">Rows</Table.Th>
                      <Table.Th className="num">4xx</Table.Th>
                      <Table.Th className="num">5xx</Table.Th>
                      <Table.Th className="num">CPU hours</Table.Th>
                      <Table.Th className="num">Pod hours</Table.Th>
                      <Table.Th className="num">Cost</Table.Th>
                    </Table.Tr>
                  </Table.Thead>
                  <Table.Tbody>
                    {list.items.map((each) => (
                      <Table.Tr key={`${each.deployment}-${each.customer}`}>
                        <Table.Td>{each.deployment}</Table.Td>
                        <Table.Td>{each.customer}</Table.Td>
                        <Table.Td className="num">{each.requests}</Table.Td>
                        <Table.Td className="num">{each.rows}</Table.Td>
                        <Table.Td className="num">{each.client_errors}</Table.Td>
                        <Table.Td className="num">{each.server_errors}</Table.Td>
                        <Table.Td className="num">{figure(each.cpu_hours)}</Table.Td>
                        <Table.Td className="num">{figure(each.pod_hours)}</Table.Td>
                        <Table.Td className="num">{each.cost.toFixed(2)}</Table.Td>
                      </Table.Tr>
                    ))}
                  </Table.Tbody>
                </Table>
              </Table.ScrollContainer>
            )
          }
        </Shown>
      </Panel>
      <Served customer={customer} />
    </Stack>
  );
}

function Served({ customer }: { customer: string }) {
  const [at, setAt] = useUrl("at");
  const moment = at ? new Date(at).toISOString() : undefined;
  const found = useGet<Schema<"ServedList">>("/production/served", { query: { at: moment, customer }, keeps: true });
  return (
    <Panel
      title="What served at a moment, and who put it there"
      actions={
        <TextInput
          type="datetime-local"
          aria-label="The moment"
          value={at}
          onChange={(event) => setAt(event.currentTarget.value)}
        />
      }
      pad={0}
    >
      <Shown of={found}>
        {(list) =>
          list.items.length === 0 ? (
            <Empty title="Nothing served at that moment" />
          ) : (
            <Table.ScrollContainer minWidth={720}>
              <Table>
                <Table.Thead>
                  <Table.Tr>
                    <Table.Th>Deployment</Table.Th>
                    <Table.Th>Customer</Table.Th>
                    <Table.Th>Revision</Table.Th>
                    <Table.Th>Model</Table.Th>
                    <Table.Th>Promoted</Table.Th>
                    <Table.Th>Revision made</Table.Th>
                  </Table.Tr>
                </Table.Thead>
                <Table.Tbody>
                  {list.items.map((each) => (
                    <Table.Tr key={`${each.deployment}-${each.revision}`}>
                      <Table.Td>{each.deployment}</Table.Td>
                      <Table.Td>{each.customer}</Table.Td>
                      <Table.Td>{each.revision}</Table.Td>
                      <Table.Td>
                        {each.model} {each.version}
                        <Text size="xs" c="dimmed">
                          {each.project}
                        </Text>
                      </Table.Td>
                      <Table.Td>
                        {each.promoted_by}, <Time at={each.promoted_at} />
                        <Text size="xs" c="dimmed">
                          {each.reason}
                        </Text>
                      </Table.Td>
                      <Table.Td>
                        {each.made_by}, <Time at={each.made_at} />
                        <Text size="xs" c="dimmed">
                          {each.why}
                        </Text>
                      </Table.Td>
                    </Table.Tr>
                  ))}
                </Table.Tbody>
              </Table>
            </Table.ScrollContainer>
          )
        }
      </Shown>
    </Panel>
  );
}

import { Anchor, Select, Table, Text } from "@mantine/core";
import { Link } from "react-router";
import { useGet } from "../../api/hooks";
import type { Schema } from "../../api/types";
import { Empty, Page, Panel, Shown } from "../../parts/Bits";
import { figure, milliseconds, percent } from "../../parts/format";
import { Status } from "../../parts/Status";
import { useUrl } from "../../parts/useUrl";
import { Requests } from "./Requests";

export default function Deployments() {
  const [customer, setCustomer] = useUrl("customer");
  const found = useGet<Schema<"ProductionPage">>("/production/deployments", { every: 5000 });
  const customers = [...new Set((found.data?.items ?? []).map((each) => each.customer))].sort();
  return (
    <Page
      title="Production"
      actions={
        <Select
          w={180}
          aria-label="Customer"
          value={customer}
          onChange={(value) => setCustomer(value ?? "")}
          allowDeselect={false}
          data={[{ value: "", label: "All customers" }, ...customers.filter(Boolean)]}
        />
      }
    >
      <Requests />
      <Panel pad={0}>
        <Shown of={found} rows={8}>
          {(page) => {
            const shown = page.items.filter((each) => !customer || each.customer === customer);
            return shown.length === 0 ? (
              <Empty title="Nothing is in production yet">
                Open a model that is ON under{" "}
                <Anchor component={Link} to="/models" size="sm" underline="always">
                  Models
                </Anchor>{" "}
                and press <b>Deploy to production</b>.
              </Empty>
            ) : (
              <Table.ScrollContainer minWidth={940}>
                <Table highlightOnHover>
                  <Table.Thead>
                    <Table.Tr>
                      <Table.Th>Deployment</Table.Th>
                      <Table.Th>Customer</Table.Th>
                      <Table.Th>Model</Table.Th>
                      <Table.Th>Status</Table.Th>
                      <Table.Th className="num">Pods</Table.Th>
                      <Table.Th>Autoscaling</Table.Th>
                      <Table.Th className="num">Requests/s</Table.Th>
                      <Table.Th className="num">p50</Table.Th>
                      <Table.Th className="num">p95</Table.Th>
                      <Table.Th className="num">p99</Table.Th>
                      <Table.Th className="num">Errors</Table.Th>
                    </Table.Tr>
                  </Table.Thead>
                  <Table.Tbody>
                    {shown.map((each) => (
                      <Table.Tr key={each.name}>
                        <Table.Td>
                          <Anchor component={Link} to={`/deployments/${each.name}`} size="sm" fw={600}>
                            {each.name}
                          </Anchor>
                        </Table.Td>
                        <Table.Td>{each.customer}</Table.Td>
                        <Table.Td>
                          {each.model} {each.version}
                          <Text size="xs" c="dimmed">
                            {each.project}
                          </Text>
                        </Table.Td>
                        <Table.Td>
                          <Status word={each.status} says={each.message} />
                        </Table.Td>
                        <Table.Td className="num">
                          {each.pods_ready}/{each.pods_wanted}
                          <Text size="xs" c="dimmed">
                            {each.min_pods}–{each.max_pods}
                          </Text>
                        </Table.Td>
                        <Table.Td>
                          {each.autoscaling ? (
                            `${each.autoscaling.metric} ${each.autoscaling.target}`
                          ) : (
                            <Text size="sm" c="dimmed">
                              off
                            </Text>
                          )}
                        </Table.Td>
                        <Table.Td className="num">{figure(each.load?.requests_per_second)}</Table.Td>
                        <Table.Td className="num">{milliseconds(each.load?.p50_ms)}</Table.Td>
                        <Table.Td className="num">{milliseconds(each.load?.p95_ms)}</Table.Td>
                        <Table.Td className="num">{milliseconds(each.load?.p99_ms)}</Table.Td>
                        <Table.Td className="num">{percent(each.load?.error_rate)}</Table.Td>
                      </Table.Tr>
                    ))}
                  </Table.Tbody>
                </Table>
              </Table.ScrollContainer>
            );
          }}
        </Shown>
      </Panel>
    </Page>
  );
}

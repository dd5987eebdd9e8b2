import { Anchor, Badge, Group, Table, Text, TextInput } from "@mantine/core";
import { IconSearch } from "@tabler/icons-react";
import { Link } from "react-router";
import { isAdministrator, useGet, useWhoAmI } from "../../api/hooks";
import type { Schema } from "../../api/types";
import { Copy, Empty, Page, Panel, Shown } from "../../parts/Bits";
import { figure, milliseconds, percent } from "../../parts/format";
import { ProjectChoice } from "../../parts/Projects";
import { Status } from "../../parts/Status";
import { useUrl } from "../../parts/useUrl";

export default function Models() {
  const who = useWhoAmI();
  const isAdmin = isAdministrator(who.data);
  const [project, setProject] = useUrl("project");
  const [contains, setContains] = useUrl("contains");
  const found = useGet<Schema<"ModelVersionPage">>("/models", {
    query: { project, contains, limit: 500 },
    keeps: true,
    every: 5000,
  });
  return (
    <Page
      title="Models"
      actions={
        <>
          <TextInput
            aria-label="Part of the name"
            placeholder="Part of the name"
            leftSection={<IconSearch size={14} />}
            value={contains}
            onChange={(event) => setContains(event.currentTarget.value)}
          />
          <ProjectChoice value={project} onChange={setProject} all />
        </>
      }
    >
      <Panel pad={0}>
        <Shown of={found} rows={8}>
          {(page) =>
            page.items.length === 0 ? (
              <Empty title={contains || project ? "No model fits" : "No models yet"}>
                Open a run with a logged model under{" "}
                <Anchor component={Link} to="/experiments" size="sm" underline="always">
                  Experiments
                </Anchor>{" "}
                and press <b>Convert to model</b>.
              </Empty>
            ) : (
              <Table.ScrollContainer minWidth={900}>
                <Table highlightOnHover>
                  <Table.Thead>
                    <Table.Tr>
                      <Table.Th>Model</Table.Th>
                      <Table.Th>Status</Table.Th>
                      <Table.Th>Endpoint</Table.Th>
                      <Table.Th>Project</Table.Th>
                      <Table.Th>Owner</Table.Th>
                      <Table.Th className="num">Memory</Table.Th>
                      <Table.Th className="num">CPUs</Table.Th>
                      <Table.Th className="num">Requests/s</Table.Th>
                      <Table.Th className="num">p95</Table.Th>
                      <Table.Th className="num">Errors</Table.Th>
                      {isAdmin && <Table.Th className="num">Production</Table.Th>}
                    </Table.Tr>
                  </Table.Thead>
                  <Table.Tbody>
                    {page.items.map((each) => (
                      <Table.Tr key={each.deployment}>
                        <Table.Td>
                          <Anchor
                            component={Link}
                            to={`/models/${each.project}/${each.model}/${each.version}`}
                            size="sm"
                            fw={600}
                          >
                            {each.model}
                          </Anchor>{" "}
                          <Badge size="xs" variant="default">
                            {each.version}
                          </Badge>
                        </Table.Td>
                        <Table.Td>
                          <Status word={each.status} says={each.message} />
                        </Table.Td>
                        <Table.Td>
                          {each.is_available ? (
                            <Group gap={2} wrap="nowrap">
                              <Text size="xs" ff="monospace" truncate maw={210}>
                                {new URL(each.url).pathname}
                              </Text>
                              <Copy text={`${each.url}/invocations`} label="Copy the endpoint" />
                            </Group>
                          ) : (
                            <Text size="xs" c="dimmed">
                              available when ON
                            </Text>
                          )}
                        </Table.Td>
                        <Table.Td>{each.project}</Table.Td>
                        <Table.Td>{each.owner}</Table.Td>
                        <Table.Td className="num">{each.resources.memory}</Table.Td>
                        <Table.Td className="num">{each.resources.cpus}</Table.Td>
                        <Table.Td className="num">{figure(each.load?.requests_per_second)}</Table.Td>
                        <Table.Td className="num">{milliseconds(each.load?.p95_ms)}</Table.Td>
                        <Table.Td className="num">{percent(each.load?.error_rate)}</Table.Td>
                        {isAdmin && <Table.Td className="num">{each.production_count}</Table.Td>}
                      </Table.Tr>
                    ))}
                  </Table.Tbody>
                </Table>
              </Table.ScrollContainer>
            )
          }
        </Shown>
      </Panel>
    </Page>
  );
}

import { Badge, Table, Text } from "@mantine/core";
import type { ProductionDetail } from "../../api/types";
import { Panel, Time } from "../../parts/Bits";

export function Revisions({ of }: { of: ProductionDetail }) {
  return (
    <Panel title="Revisions" pad={0}>
      <Table.ScrollContainer minWidth={760}>
        <Table highlightOnHover>
          <Table.Thead>
            <Table.Tr>
              <Table.Th>Revision</Table.Th>
              <Table.Th>State</Table.Th>
              <Table.Th>Model</Table.Th>
              <Table.Th>Size</Table.Th>
              <Table.Th>Made</Table.Th>
              <Table.Th>Who</Table.Th>
              <Table.Th>Why</Table.Th>
              <Table.Th>What changed</Table.Th>
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {of.history.map((revision, at) => {
              const before = of.history[at + 1];
              const changes = before
                ? (["model", "version", "memory", "cpus"] as const)
                    .filter((key) => before[key] !== revision[key])
                    .map((key) => `${key}: ${before[key]} → ${revision[key]}`)
                : ["the first one"];
              return (
                <Table.Tr key={revision.number}>
                  <Table.Td>{revision.number}</Table.Td>
                  <Table.Td>
                    <Badge
                      variant="light"
                      tt="none"
                      color={revision.state === "Ready" ? "teal" : revision.state === "Failed" ? "red" : "gray"}
                    >
                      {revision.state}
                    </Badge>
                  </Table.Td>
                  <Table.Td>
                    {revision.model} {revision.version}
                  </Table.Td>
                  <Table.Td>
                    {revision.memory}, {revision.cpus} CPU
                  </Table.Td>
                  <Table.Td>
                    <Time at={revision.made_at} />
                  </Table.Td>
                  <Table.Td>{revision.made_by}</Table.Td>
                  <Table.Td>{revision.why}</Table.Td>
                  <Table.Td>
                    {changes.length ? (
                      changes.map((change) => (
                        <Text key={change} size="xs">
                          {change}
                        </Text>
                      ))
                    ) : (
                      <Text size="xs" c="dimmed">
                        nothing that pods feel
                      </Text>
                    )}
                  </Table.Td>
                </Table.Tr>
              );
            })}
          </Table.Tbody>
        </Table>
      </Table.ScrollContainer>
    </Panel>
  );
}

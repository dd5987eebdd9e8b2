import { Badge, Stack, Table, Text } from "@mantine/core";
import { IconAlertTriangle, IconCheck } from "@tabler/icons-react";
import type { Schema } from "../api/types";

/** What callers may feel, column by column. */
export function ContractChanges({ of, isCompatible }: { of: Schema<"ContractChangeOut">[]; isCompatible: boolean }) {
  if (of.length === 0)
    return (
      <Text size="sm" c="dimmed">
        The contracts are the same.
      </Text>
    );
  return (
    <Stack gap="xs">
      <Badge
        color={isCompatible ? "teal" : "red"}
        variant="light"
        tt="none"
        leftSection={isCompatible ? <IconCheck size={12} /> : <IconAlertTriangle size={12} />}
      >
        {isCompatible ? "compatible: callers feel nothing" : "breaking: callers may feel it"}
      </Badge>
      <Table.ScrollContainer minWidth={480}>
        <Table>
          <Table.Thead>
            <Table.Tr>
              <Table.Th>Side</Table.Th>
              <Table.Th>Column</Table.Th>
              <Table.Th>Was</Table.Th>
              <Table.Th>Becomes</Table.Th>
              <Table.Th>Why</Table.Th>
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {of.map((change) => (
              <Table.Tr key={`${change.side}-${change.name}-${change.why}`}>
                <Table.Td>{change.side}</Table.Td>
                <Table.Td>{change.name}</Table.Td>
                <Table.Td>{change.was || "–"}</Table.Td>
                <Table.Td>{change.becomes || "gone"}</Table.Td>
                <Table.Td>
                  {change.is_breaking && (
                    <Badge size="xs" color="red" mr={6}>
                      breaking
                    </Badge>
                  )}
                  {change.why}
                </Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      </Table.ScrollContainer>
    </Stack>
  );
}

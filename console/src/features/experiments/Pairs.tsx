import { Box, Table, Text, TextInput } from "@mantine/core";
import { useState } from "react";

/** Names and values, searchable where there are many. */
export function Pairs({ of, empty, numbers = false }: { of: [string, string][]; empty: string; numbers?: boolean }) {
  const [text, setText] = useState("");
  if (of.length === 0)
    return (
      <Text size="sm" c="dimmed" p="md">
        {empty}
      </Text>
    );
  const shown = of.filter(([name, value]) => `${name} ${value}`.toLowerCase().includes(text.toLowerCase()));
  return (
    <>
      {of.length > 10 && (
        <TextInput
          m="xs"
          placeholder="Search"
          aria-label="Search"
          value={text}
          onChange={(event) => setText(event.currentTarget.value)}
        />
      )}
      <Box mah={420} style={{ overflow: "auto" }} tabIndex={0}>
        <Table>
          <Table.Tbody>
            {shown.map(([name, value]) => (
              <Table.Tr key={name}>
                <Table.Td c="dimmed" w="45%" style={{ overflowWrap: "anywhere" }}>
                  {name}
                </Table.Td>
                <Table.Td className={numbers ? "num" : undefined} style={{ overflowWrap: "anywhere" }}>
                  {value}
                </Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      </Box>
    </>
  );
}

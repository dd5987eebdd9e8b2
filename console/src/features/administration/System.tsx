import { Alert, Badge, Code, Select, Stack, Table } from "@mantine/core";
import { useGet } from "../../api/hooks";
import type { Schema } from "../../api/types";
import { Facts, Panel, Shown } from "../../parts/Bits";
import { bytes } from "../../parts/format";
import { useUrl } from "../../parts/useUrl";
import { Scrubs } from "./Scrubs";

export function System() {
  const platform = useGet<Schema<"PlatformOut">>("/platform", { every: 5000 });
  const [engine, setEngine] = useUrl("engine", "control");
  const log = useGet<Schema<"LogPageOut">>(`/platform/logs/${engine}`, { query: { tail: 200 }, every: 5000 });
  return (
    <Stack gap="md">
      <Shown of={platform}>
        {(found) => (
          <>
            {found.notes?.map((note) => (
              <Alert key={note} color="yellow" title={note} />
            ))}
            <Panel title="This platform">
              <Facts
                isWide
                of={[
                  ["Version", found.version],
                  ["Address", found.public_url],
                  ["Tracking URI", found.tracking_uri],
                  ["Isolation of pods", found.isolation ?? "–"],
                  ["Host", found.capacity ? `${found.capacity.cpus} CPUs, ${bytes(found.capacity.memory_bytes)}` : "–"],
                ]}
              />
            </Panel>
            <Panel title="Engines" pad={0}>
              <Table>
                <Table.Thead>
                  <Table.Tr>
                    <Table.Th>Engine</Table.Th>
                    <Table.Th>State</Table.Th>
                    <Table.Th className="num">Restarts</Table.Th>
                    <Table.Th>Said last</Table.Th>
                  </Table.Tr>
                </Table.Thead>
                <Table.Tbody>
                  {found.engines.map((each) => (
                    <Table.Tr key={each.name}>
                      <Table.Td>{each.name}</Table.Td>
                      <Table.Td>
                        <Badge
                          variant="light"
                          tt="none"
                          color={each.is_alive && each.phase === "ready" ? "teal" : "red"}
                        >
                          {each.is_alive ? each.phase : "gone"}
                        </Badge>
                      </Table.Td>
                      <Table.Td className="num">{each.restarts}</Table.Td>
                      <Table.Td>{each.message}</Table.Td>
                    </Table.Tr>
                  ))}
                </Table.Tbody>
              </Table>
            </Panel>
          </>
        )}
      </Shown>
      <Scrubs />
      <Panel
        title="Log"
        actions={
          <Select
            aria-label="Engine"
            w={150}
            value={engine}
            onChange={(value) => setEngine(value ?? "control")}
            allowDeselect={false}
            data={["control", "mlflow", "envoy"]}
          />
        }
      >
        <Shown of={log}>
          {(page) => (
            <Code block mah={420} style={{ overflow: "auto" }} fz={12} tabIndex={0}>
              {page.lines.map((line) => `${line.at.slice(0, 19)} ${line.text}`).join("\n") ||
                "Nothing was written yet."}
            </Code>
          )}
        </Shown>
      </Panel>
    </Stack>
  );
}

import { Alert, Button, Stack, Text } from "@mantine/core";
import { useAct, useGet } from "../../api/hooks";
import type { Schema } from "../../api/types";
import { Empty, ErrorBox, Panel, Shown, Time } from "../../parts/Bits";
import { bytes } from "../../parts/format";
import { Rows } from "../../parts/Rows";
import { Status } from "../../parts/Status";

type Scrub = Schema<"ScrubOut">;

function stateOf(scrub: Scrub): string {
  if (!scrub.ended_at) return scrub.began_at ? "Running" : "Queued";
  if (scrub.damages.some((damage) => !damage.is_mended)) return "Damaged";
  return scrub.trouble ? "Incomplete" : "Done";
}

/** Whether production's files are still what was promoted: read again, byte by byte. */
export function Scrubs() {
  const found = useGet<Schema<"ScrubList">>("/production/scrubs", { query: { limit: 10 }, every: 5000 });
  const act = useAct<Scrub>();
  return (
    <Panel
      title="Production's files"
      actions={
        <Button
          variant="default"
          size="compact-sm"
          loading={act.isPending}
          onClick={() => act.mutate({ method: "POST", path: "/production/scrubs" })}
        >
          Read all again
        </Button>
      }
      pad={0}
    >
      <ErrorBox problem={act.error} />
      <Shown of={found}>
        {({ items }) =>
          items.length === 0 ? (
            <Empty title="Nothing was read again yet">
              Every kept file of production is compared with what was sealed when it was promoted.
            </Empty>
          ) : (
            <Stack gap="sm">
              <Rows
                of={items}
                keyOf={(scrub) => scrub.id}
                columns={[
                  { label: "Asked for", cell: (scrub) => <Time at={scrub.asked_at} /> },
                  { label: "By", cell: (scrub) => scrub.asked_by },
                  { label: "State", cell: (scrub) => <Status word={stateOf(scrub)} /> },
                  { label: "Snapshots", isNumber: true, cell: (scrub) => scrub.snapshots },
                  { label: "Read", isNumber: true, cell: (scrub) => bytes(scrub.bytes_read) },
                  { label: "Damaged files", isNumber: true, cell: (scrub) => scrub.damages.length },
                ]}
              />
              {items[0]?.trouble && <Alert color="yellow" title={items[0].trouble} m="sm" />}
              {items[0]?.damages.map((damage) => (
                <Alert
                  key={`${damage.environment}/${damage.snapshot}/${damage.path}/${damage.place}`}
                  color={damage.is_mended ? "yellow" : "red"}
                  title={`${damage.path}, ${damage.place}`}
                  m="sm"
                >
                  <Text size="sm">
                    {damage.message} {damage.is_mended ? "Made whole again." : ""}
                  </Text>
                  <Text size="xs" ff="monospace" style={{ overflowWrap: "anywhere" }}>
                    {damage.environment} {damage.snapshot}
                  </Text>
                </Alert>
              ))}
            </Stack>
          )
        }
      </Shown>
    </Panel>
  );
}

import { Alert, Anchor, Code, Grid, Group, SimpleGrid, Stack, Tabs, Text } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { IconArrowBackUp, IconPlayerPlay, IconPlayerStop } from "@tabler/icons-react";
import { Link, useNavigate, useParams } from "react-router";
import { part } from "../../api/client";
import { useAct, useGet } from "../../api/hooks";
import type { EventPage, ProductionDetail } from "../../api/types";
import { Copy, ErrorBox, Facts, Figure, Guarded, Page, Panel, Shown, Time } from "../../parts/Bits";
import { Danger } from "../../parts/endpoint/Danger";
import { Logs } from "../../parts/endpoint/Logs";
import { Measured } from "../../parts/endpoint/Measured";
import { Failure, Phases, Pods } from "../../parts/endpoint/Phases";
import { Snippets } from "../../parts/endpoint/Snippets";
import { Tokens } from "../../parts/endpoint/Tokens";
import { TryIt } from "../../parts/endpoint/TryIt";
import { figure, milliseconds, percent } from "../../parts/format";
import { Status } from "../../parts/Status";
import { useUrl } from "../../parts/useUrl";
import { Configure } from "./Configure";
import { Revisions } from "./Revisions";
import { RollBack } from "./RollBack";
import { Traffic } from "./Traffic";

const AVAILABLE = ["ON", "Degraded", "Updating"];

export default function DeploymentPage() {
  const { name = "" } = useParams();
  const base = `/production/deployments/${part(name)}`;
  const found = useGet<ProductionDetail>(base, { every: 2000 });
  const [tab, setTab] = useUrl("tab", "overview");
  const [isRolling, rolling] = useDisclosure(false);
  const [isDeleting, deleting] = useDisclosure(false);
  const act = useAct<unknown>();
  const go = useNavigate();
  const data = found.data;
  const isAvailable = data !== undefined && AVAILABLE.includes(data.status);
  return (
    <Page
      title={
        <Group gap="sm">
          {name}
          {data && <Status word={data.status} />}
        </Group>
      }
      crumbs={[{ label: "Production", to: "/deployments" }]}
      actions={
        data && (
          <>
            <Guarded
              label="Roll back"
              variant="light"
              color="orange"
              leftSection={<IconArrowBackUp size={14} />}
              allowed={data.history.length > 1}
              reason="There is only one revision."
              onClick={rolling.open}
            />
            {data.wanted === "on" ? (
              <Guarded
                label="Switch OFF"
                variant="default"
                leftSection={<IconPlayerStop size={14} />}
                loading={act.isPending}
                onClick={() => act.mutate({ method: "POST", path: `${base}/off` })}
              />
            ) : (
              <Guarded
                label="Switch ON"
                variant="default"
                leftSection={<IconPlayerPlay size={14} />}
                loading={act.isPending}
                onClick={() => act.mutate({ method: "POST", path: `${base}/on` })}
              />
            )}
          </>
        )
      }
    >
      <Shown of={found} rows={10}>
        {(detail) => (
          <Stack gap="md">
            <ErrorBox problem={act.error} />
            {detail.status === "ON" ? (
              <Panel>
                <Group gap="xs" wrap="nowrap">
                  <Text size="sm" c="dimmed">
                    Endpoint
                  </Text>
                  <Code fz={13} style={{ overflowWrap: "anywhere" }}>
                    {detail.url}/invocations
                  </Code>
                  <Copy text={`${detail.url}/invocations`} label="Copy the endpoint" />
                </Group>
              </Panel>
            ) : (
              <Alert
                color={detail.status === "Failed" ? "red" : detail.status === "Degraded" ? "yellow" : "blue"}
                title={`${detail.status}: ${detail.message}`}
                role="status"
              >
                {detail.hint}
                {detail.revisions.map(
                  (revision) =>
                    revision.failure && (
                      <Failure
                        key={revision.id}
                        of={revision.failure}
                        said={detail.message.endsWith(revision.failure.message)}
                      />
                    ),
                )}
              </Alert>
            )}
            {detail.rollout?.is_active && <Traffic base={base} of={detail} />}
            <Tabs value={tab} onChange={(value) => setTab(value ?? "overview")}>
              <Tabs.List mb="md">
                <Tabs.Tab value="overview">Overview</Tabs.Tab>
                <Tabs.Tab value="metrics">Metrics</Tabs.Tab>
                <Tabs.Tab value="revisions">Revisions</Tabs.Tab>
                <Tabs.Tab value="try">Try it</Tabs.Tab>
                <Tabs.Tab value="logs">Logs</Tabs.Tab>
                <Tabs.Tab value="api">API</Tabs.Tab>
                <Tabs.Tab value="settings">Settings</Tabs.Tab>
              </Tabs.List>
              <Tabs.Panel value="overview">
                <Overview of={detail} />
              </Tabs.Panel>
              <Tabs.Panel value="metrics">
                <Measured path={`${base}/measurements`} />
              </Tabs.Panel>
              <Tabs.Panel value="revisions">
                <Revisions of={detail} />
              </Tabs.Panel>
              <Tabs.Panel value="try">
                <TryIt base={base} isAvailable={isAvailable} />
              </Tabs.Panel>
              <Tabs.Panel value="logs">
                <Logs base={base} />
              </Tabs.Panel>
              <Tabs.Panel value="api">
                <Stack gap="md">
                  <Snippets base={base} url={detail.url} needsToken={detail.needs_token} isAvailable={isAvailable} />
                  <Tokens base={base} allowed reason="" />
                </Stack>
              </Tabs.Panel>
              <Tabs.Panel value="settings">
                <Configure key={detail.generation} base={base} of={detail} remove={deleting.open} />
              </Tabs.Panel>
            </Tabs>
            {isRolling && <RollBack base={base} of={detail} close={rolling.close} />}
            <Danger
              title="Delete this production deployment"
              name={name}
              isOpen={isDeleting}
              close={deleting.close}
              isPending={act.isPending}
              problem={act.error}
              act={() => act.mutate({ method: "DELETE", path: base }, { onSuccess: () => go("/deployments") })}
            >
              {detail.customer} will get no more answers. Its endpoint, its files in the production store and its access
              tokens are deleted.
            </Danger>
          </Stack>
        )}
      </Shown>
    </Page>
  );
}

function Overview({ of }: { of: ProductionDetail }) {
  const events = useGet<EventPage>("/events", {
    query: { subject_kind: "deployment", subject: of.deployment, project: of.project, limit: 20, newest_first: true },
  });
  const coming = of.revisions.at(-1);
  const promoted = of.promotions[0];
  return (
    <Stack gap="md">
      <SimpleGrid cols={{ base: 2, sm: 3, lg: 6 }} spacing="sm">
        <Figure label="Requests/s" value={figure(of.load?.requests_per_second)} />
        <Figure label="p50" value={milliseconds(of.load?.p50_ms)} />
        <Figure label="p95" value={milliseconds(of.load?.p95_ms)} />
        <Figure label="p99" value={milliseconds(of.load?.p99_ms)} />
        <Figure label="Errors" value={percent(of.load?.error_rate)} />
        <Figure
          label="Pods ready"
          value={`${of.pods_ready}/${of.pods_wanted}`}
          hint={`${of.min_pods} to ${of.max_pods}`}
        />
      </SimpleGrid>
      <Grid gap="md">
        <Grid.Col span={{ base: 12, md: 7 }}>
          <Stack gap="md">
            <Panel title="Pods">
              <Pods of={of.revisions} />
            </Panel>
            {coming && coming.state !== "Ready" && (
              <Panel title={`Revision ${coming.number} on the way`}>
                <Phases of={coming.phases} />
              </Panel>
            )}
            <Panel title="Timeline">
              <Shown of={events}>
                {(page) => (
                  <Stack gap={8}>
                    {page.items.map((event) => (
                      <Group key={event.sequence} gap="sm" wrap="nowrap" align="flex-start">
                        <Text size="xs" c="dimmed" w={70} style={{ flex: "none" }}>
                          <Time at={event.at} />
                        </Text>
                        <div>
                          <Text size="sm">{event.message}</Text>
                          <Text size="xs" c="dimmed">
                            {event.actor}
                          </Text>
                        </div>
                      </Group>
                    ))}
                  </Stack>
                )}
              </Shown>
            </Panel>
          </Stack>
        </Grid.Col>
        <Grid.Col span={{ base: 12, md: 5 }}>
          <Stack gap="md">
            <Panel title="What it serves">
              <Facts
                of={[
                  ["Customer", of.customer],
                  ["Model", `${of.project} / ${of.model} / ${of.version}`],
                  ["Revision", of.history[0]?.number ?? "–"],
                  ["Memory of a pod", of.resources.memory],
                  ["CPUs of a pod", of.resources.cpus],
                  ["Pods", `${of.min_pods} to ${of.max_pods}`],
                  ["Autoscaling", of.autoscaling ? `${of.autoscaling.metric} ${of.autoscaling.target} per pod` : "off"],
                  ["Access", of.needs_token ? "with a token" : "open"],
                  [
                    "Snapshot",
                    of.snapshot.digest ? (
                      <Code key="digest">{of.snapshot.digest.slice(0, 12)}</Code>
                    ) : (
                      of.snapshot.state
                    ),
                  ],
                ]}
              />
              <Text size="xs" mt="sm">
                <Anchor
                  component={Link}
                  to={`/models/${of.project}/${of.model}/${of.version}`}
                  size="xs"
                  underline="always"
                >
                  The model version in staging
                </Anchor>
                , where it is still there.
              </Text>
            </Panel>
            {promoted && (
              <Panel title="Who put it there">
                <Text size="sm">
                  <b>{promoted.promoted_by}</b>, <Time at={promoted.promoted_at} />: {promoted.reason}
                </Text>
                <Text size="xs" c="dimmed" mt={4}>
                  {promoted.gates.length} gates held: {promoted.gates.map((gate) => gate.gate).join(", ")}.
                </Text>
              </Panel>
            )}
          </Stack>
        </Grid.Col>
      </Grid>
    </Stack>
  );
}

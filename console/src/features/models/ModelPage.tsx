import { Alert, Anchor, Badge, Code, Grid, Group, Stack, Tabs, Text } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { IconAlertTriangle, IconPlayerPlay, IconPlayerStop, IconRocket } from "@tabler/icons-react";
import { Link, useNavigate, useParams } from "react-router";
import { part } from "../../api/client";
import { isAdministrator, useAct, useGet, useWhoAmI } from "../../api/hooks";
import type { EventPage, VersionDetail } from "../../api/types";
import { Copy, ErrorBox, Facts, Guarded, Page, Panel, Shown, Time } from "../../parts/Bits";
import { Danger } from "../../parts/endpoint/Danger";
import { Logs } from "../../parts/endpoint/Logs";
import { Measured } from "../../parts/endpoint/Measured";
import { Failure, Phases, Pods } from "../../parts/endpoint/Phases";
import { Snippets } from "../../parts/endpoint/Snippets";
import { Tokens } from "../../parts/endpoint/Tokens";
import { TryIt } from "../../parts/endpoint/TryIt";
import { bytes } from "../../parts/format";
import { Signature } from "../../parts/Signature";
import { Status } from "../../parts/Status";
import { useUrl } from "../../parts/useUrl";
import { Deploy } from "./Deploy";
import { Settings } from "./Settings";
import { Versions } from "./Versions";

const SETTLED = ["ON", "OFF", "Failed"];

export default function ModelPage() {
  const { project = "", model = "", version = "" } = useParams();
  const base = `/projects/${part(project)}/models/${part(model)}/versions/${part(version)}`;
  const found = useGet<VersionDetail>(base, { every: 2000 });
  const who = useWhoAmI();
  const [tab, setTab] = useUrl("tab", "overview");
  const [isDeploying, deploying] = useDisclosure(false);
  const [isDeleting, deleting] = useDisclosure(false);
  const act = useAct<unknown>();
  const go = useNavigate();
  const data = found.data;
  const may = (name: string) => data?.actions[name] ?? { allowed: false, reason: "" };
  const isOn = data?.wanted === "on";
  const isAdmin = isAdministrator(who.data);
  return (
    <Page
      title={
        <Group gap="sm">
          {model}
          <Badge variant="default" size="lg">
            {version}
          </Badge>
          {data && <Status word={data.status} />}
        </Group>
      }
      crumbs={[
        { label: "Models", to: "/models" },
        { label: project, to: `/models?project=${project}` },
      ]}
      actions={
        data && (
          <>
            {isOn ? (
              <Guarded
                label="Switch OFF"
                variant="default"
                leftSection={<IconPlayerStop size={14} />}
                allowed={may("off").allowed}
                reason={may("off").reason}
                loading={act.isPending}
                onClick={() => act.mutate({ method: "POST", path: `${base}/off` })}
              />
            ) : (
              <Guarded
                label="Switch ON"
                variant="default"
                leftSection={<IconPlayerPlay size={14} />}
                allowed={may("on").allowed}
                reason={may("on").reason}
                loading={act.isPending}
                onClick={() => act.mutate({ method: "POST", path: `${base}/on` })}
              />
            )}
            <Guarded
              label="Deploy to production"
              leftSection={<IconRocket size={14} />}
              allowed={isAdmin}
              reason="Only administrators promote."
              onClick={deploying.open}
            />
          </>
        )
      }
    >
      <Shown of={found} rows={10}>
        {(detail) => (
          <Stack gap="md">
            <ErrorBox problem={act.error} />
            <Verdict
              of={detail}
              tryAgain={() => act.mutate({ method: "POST", path: `${base}/on` })}
              mayTryAgain={may("on").allowed}
            />
            <Tabs value={tab} onChange={(value) => setTab(value ?? "overview")}>
              <Tabs.List mb="md">
                <Tabs.Tab value="overview">Overview</Tabs.Tab>
                <Tabs.Tab value="try">Try it</Tabs.Tab>
                <Tabs.Tab value="logs">Logs</Tabs.Tab>
                <Tabs.Tab value="metrics">Metrics</Tabs.Tab>
                <Tabs.Tab value="versions">Versions</Tabs.Tab>
                <Tabs.Tab value="api">API</Tabs.Tab>
                <Tabs.Tab value="settings">Settings</Tabs.Tab>
              </Tabs.List>
              <Tabs.Panel value="overview">
                <Overview of={detail} />
              </Tabs.Panel>
              <Tabs.Panel value="try">
                <TryIt base={base} isAvailable={detail.is_available} />
              </Tabs.Panel>
              <Tabs.Panel value="logs">
                <Logs base={base} />
              </Tabs.Panel>
              <Tabs.Panel value="metrics">
                <Measured path={`${base}/measurements`} />
              </Tabs.Panel>
              <Tabs.Panel value="versions">
                <Versions of={detail} />
              </Tabs.Panel>
              <Tabs.Panel value="api">
                <Stack gap="md">
                  <Snippets
                    base={base}
                    url={detail.url}
                    needsToken={detail.needs_token}
                    isAvailable={detail.is_available}
                  />
                  <Tokens base={base} allowed={may("issue_token").allowed} reason={may("issue_token").reason} />
                </Stack>
              </Tabs.Panel>
              <Tabs.Panel value="settings">
                <Settings base={base} of={detail} remove={deleting.open} />
              </Tabs.Panel>
            </Tabs>
            {isDeploying && <Deploy of={detail} close={deploying.close} />}
            <Danger
              title="Delete this model version"
              name={model}
              isOpen={isDeleting}
              close={deleting.close}
              isPending={act.isPending}
              problem={act.error}
              act={() => act.mutate({ method: "DELETE", path: base }, { onSuccess: () => go("/models") })}
            >
              Its endpoint, its copied files, its logs and its access tokens are deleted. Production deployments that
              were made of it go on.
            </Danger>
          </Stack>
        )}
      </Shown>
    </Page>
  );
}

function Verdict({ of, tryAgain, mayTryAgain }: { of: VersionDetail; tryAgain: () => void; mayTryAgain: boolean }) {
  if (of.status === "ON") {
    return (
      <Panel>
        <Group gap="xs" wrap="nowrap">
          <Text size="sm" c="dimmed">
            Endpoint
          </Text>
          <Code fz={13} style={{ overflowWrap: "anywhere" }}>
            {of.url}/invocations
          </Code>
          <Copy text={`${of.url}/invocations`} label="Copy the endpoint" />
        </Group>
      </Panel>
    );
  }
  const failure = of.revisions.map((revision) => revision.failure).find((each) => each !== null);
  const isBad = of.status === "Failed" || of.status === "Degraded";
  return (
    <Alert
      color={isBad ? (of.status === "Failed" ? "red" : "yellow") : "blue"}
      icon={isBad ? <IconAlertTriangle size={16} /> : undefined}
      title={`${of.status}: ${of.message}`}
      role="status"
    >
      {of.hint && <Text size="sm">{of.hint}</Text>}
      {failure && failure.lines.length > 0 && <Failure of={failure} said={failure.message === of.message} />}
      {of.status === "Failed" && (
        <Group mt="sm">
          <Guarded label="Try again" variant="white" allowed={mayTryAgain} onClick={tryAgain} />
        </Group>
      )}
      {!SETTLED.includes(of.status) && !isBad && of.phases.length > 0 && (
        <Text size="xs" c="dimmed" mt={4}>
          Its phases are below.
        </Text>
      )}
    </Alert>
  );
}

function Overview({ of }: { of: VersionDetail }) {
  const events = useGet<EventPage>("/events", {
    query: { subject_kind: "deployment", subject: of.deployment, project: of.project, limit: 20, newest_first: true },
  });
  return (
    <Grid gap="md">
      <Grid.Col span={{ base: 12, md: 7 }}>
        <Stack gap="md">
          <Panel title="On the way to its route">
            <Phases of={of.phases} />
          </Panel>
          <Panel title="Signature" pad={0}>
            <Signature of={of.facts.signature} />
          </Panel>
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
                          {event.was && event.became && event.was !== event.became
                            ? ` · ${event.was} → ${event.became}`
                            : ""}
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
          <Panel title="Pods">
            <Pods of={of.revisions} />
          </Panel>
          <Panel title="Compute configuration">
            <Facts
              of={[
                ["Memory", of.resources.memory],
                ["CPUs", of.resources.cpus],
                ["A prediction may take", `${of.options.timeout_seconds} s`],
                ["Serving path", of.options.serving],
                ["Method", of.options.method],
                ["Access", of.needs_token ? "with a token" : "open"],
              ]}
            />
          </Panel>
          <Panel title="Model">
            <Facts
              of={[
                ["Owner", of.owner],
                ["Made", <Time key="at" at={of.created_at} />],
                [
                  "Run",
                  <Anchor key="run" component={Link} to={`/runs/${of.project}/${of.run_id}`} size="sm">
                    {of.run_id.slice(0, 12)}
                  </Anchor>,
                ],
                [
                  "Model path",
                  <Text key="path" size="sm" ff="monospace" style={{ overflowWrap: "anywhere" }}>
                    {of.model_path}
                  </Text>,
                ],
                ["Flavours", of.facts.flavors.join(", ")],
                ["Python", of.facts.python_version],
                ["Packages", of.facts.requirements.length],
                ["Files", `${of.facts.file_count}, ${bytes(of.facts.size_bytes)}`],
                [
                  "File formats",
                  of.facts.file_format === "safe"
                    ? "safe"
                    : `${of.facts.file_format}: ${of.facts.unsafe_files.join(", ")}`,
                ],
                [
                  "Snapshot",
                  of.snapshot.digest ? <Code key="digest">{of.snapshot.digest.slice(0, 12)}</Code> : of.snapshot.state,
                ],
              ]}
            />
            {Object.keys(of.tags).length > 0 && (
              <Group gap={4} mt="sm">
                {Object.entries(of.tags).map(([name, value]) => (
                  <Badge key={name} variant="default" tt="none">
                    {name}={value}
                  </Badge>
                ))}
              </Group>
            )}
          </Panel>
        </Stack>
      </Grid.Col>
    </Grid>
  );
}

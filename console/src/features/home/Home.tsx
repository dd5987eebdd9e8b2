import { Anchor, Grid, Group, SimpleGrid, Stack, Table, Text } from "@mantine/core";
import { Link } from "react-router";
import { isAdministrator, useGet, useWhoAmI } from "../../api/hooks";
import type { EventPage, Production, Schema, Version } from "../../api/types";
import { Empty, Figure, Page, Panel, Shown, Snippet, Time } from "../../parts/Bits";
import { counted, figure, milliseconds } from "../../parts/format";
import { Status } from "../../parts/Status";
import { NewestRuns } from "./NewestRuns";

const TROUBLE = ["Failed", "Degraded"];

export default function Home() {
  const who = useWhoAmI();
  const isAdmin = isAdministrator(who.data);
  const models = useGet<Schema<"ModelVersionPage">>("/models", { query: { limit: 200 } });
  const production = useGet<Schema<"ProductionPage">>("/production/deployments", { enabled: isAdmin });
  const events = useGet<EventPage>("/events", { query: { limit: 12, newest_first: true } });
  const versions = models.data?.items ?? [];
  const deployed = production.data?.items ?? [];
  const trouble = [
    ...deployed
      .filter((each) => TROUBLE.includes(each.status))
      .map((each) => ({ ...row(each), to: `/deployments/${each.name}`, name: each.name })),
    ...versions
      .filter((each) => TROUBLE.includes(each.status))
      .map((each) => ({ ...row(each), to: addressOf(each), name: `${each.model}/${each.version}` })),
  ];
  const names = new Map<string, { name: string; to: string }>();
  for (const each of versions)
    names.set(each.deployment, { name: `${each.model} / ${each.version}`, to: addressOf(each) });
  for (const each of deployed) names.set(each.deployment, { name: each.name, to: `/deployments/${each.name}` });
  const mine = versions.filter((each) => each.owner === who.data?.name).slice(0, 8);
  return (
    <Page title="Home">
      <SimpleGrid cols={{ base: 2, md: 4 }} spacing="sm">
        <Figure
          label="Models ON"
          value={versions.filter((each) => each.is_available).length}
          hint={`of ${counted(versions.length, "version")}`}
          to="/models"
        />
        {isAdmin && (
          <Figure
            label="Production ON"
            value={deployed.filter((each) => each.status === "ON").length}
            hint={`of ${counted(deployed.length, "deployment")}`}
            to="/deployments"
          />
        )}
        <Figure
          label="Requests per second"
          hint="the last minute"
          value={figure(
            [...versions, ...deployed].reduce((sum, each) => sum + (each.load?.requests_per_second ?? 0), 0),
          )}
          to={isAdmin ? "/monitoring" : "/models"}
        />
        <Figure
          label="Needs attention"
          value={trouble.length}
          hint={trouble.length ? "Failed or Degraded" : "all is well"}
        />
      </SimpleGrid>
      <Grid gap="md">
        <Grid.Col span={{ base: 12, md: 7 }}>
          <Stack gap="md">
            <Panel title="Needs attention">
              {trouble.length === 0 ? (
                <Text size="sm" c="dimmed">
                  Nothing: no deployment is Failed or Degraded.
                </Text>
              ) : (
                <Stack gap="xs">
                  {trouble.map((each) => (
                    <Group key={each.to} gap="sm" wrap="nowrap" align="flex-start">
                      <Status word={each.status} />
                      <div>
                        <Anchor component={Link} to={each.to} fw={600} size="sm">
                          {each.name}
                        </Anchor>
                        <Text size="sm">{each.message}</Text>
                        {each.hint && (
                          <Text size="xs" c="dimmed">
                            {each.hint}
                          </Text>
                        )}
                      </div>
                    </Group>
                  ))}
                </Stack>
              )}
            </Panel>
            {isAdmin && (
              <Panel title="Production" pad={0}>
                <Shown of={production}>
                  {(page) =>
                    page.items.length ? (
                      <Health of={page.items} />
                    ) : (
                      <Empty title="Nothing is in production yet">
                        Open a model that is ON and press <b>Deploy to production</b>.
                      </Empty>
                    )
                  }
                </Shown>
              </Panel>
            )}
            <Panel title="My models" pad={mine.length ? 0 : "md"}>
              <Shown of={models}>{() => (mine.length ? <Mine of={mine} /> : <Teach />)}</Shown>
            </Panel>
            <NewestRuns />
          </Stack>
        </Grid.Col>
        <Grid.Col span={{ base: 12, md: 5 }}>
          <Panel title="What happened">
            <Shown of={events}>
              {(page) => (
                <Stack gap={10}>
                  {page.items.map((event) => (
                    <div key={event.sequence}>
                      <Text size="sm" lh={1.35}>
                        {event.message}
                      </Text>
                      <Text size="xs" c="dimmed">
                        <Time at={event.at} /> · {event.actor}
                        {names.has(event.subject) && (
                          <>
                            {" · "}
                            <Anchor
                              component={Link}
                              to={names.get(event.subject)?.to ?? "/"}
                              size="xs"
                              underline="always"
                            >
                              {names.get(event.subject)?.name}
                            </Anchor>
                          </>
                        )}
                      </Text>
                    </div>
                  ))}
                  {page.items.length === 0 && (
                    <Text size="sm" c="dimmed">
                      Nothing yet.
                    </Text>
                  )}
                </Stack>
              )}
            </Shown>
          </Panel>
        </Grid.Col>
      </Grid>
    </Page>
  );
}

const addressOf = (each: Version) => `/models/${each.project}/${each.model}/${each.version}`;
const row = ({ status, message, hint }: { status: string; message: string; hint: string }) => ({
  status,
  message,
  hint,
});

function Health({ of }: { of: Production[] }) {
  return (
    <Table.ScrollContainer minWidth={420}>
      <Table>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>Deployment</Table.Th>
            <Table.Th>Status</Table.Th>
            <Table.Th className="num">Pods</Table.Th>
            <Table.Th className="num">Requests/s</Table.Th>
            <Table.Th className="num">p95</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {of.map((each) => (
            <Table.Tr key={each.name}>
              <Table.Td>
                <Anchor component={Link} to={`/deployments/${each.name}`} size="sm">
                  {each.name}
                </Anchor>
                <Text size="xs" c="dimmed">
                  {each.customer}
                </Text>
              </Table.Td>
              <Table.Td>
                <Status word={each.status} says={each.message} />
              </Table.Td>
              <Table.Td className="num">
                {each.pods_ready}/{each.pods_wanted}
              </Table.Td>
              <Table.Td className="num">{figure(each.load?.requests_per_second)}</Table.Td>
              <Table.Td className="num">{milliseconds(each.load?.p95_ms)}</Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </Table.ScrollContainer>
  );
}

function Mine({ of }: { of: Version[] }) {
  return (
    <Table.ScrollContainer minWidth={420}>
      <Table>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>Model</Table.Th>
            <Table.Th>Project</Table.Th>
            <Table.Th>Status</Table.Th>
            <Table.Th>Changed</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {of.map((each) => (
            <Table.Tr key={each.deployment}>
              <Table.Td>
                <Anchor component={Link} to={addressOf(each)} size="sm">
                  {each.model} / {each.version}
                </Anchor>
              </Table.Td>
              <Table.Td>{each.project}</Table.Td>
              <Table.Td>
                <Status word={each.status} says={each.message} />
              </Table.Td>
              <Table.Td>
                <Time at={each.changed_at} />
              </Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </Table.ScrollContainer>
  );
}

function Teach() {
  const platform = useGet<Schema<"PlatformOut">>("/platform");
  const uri = platform.data?.tracking_uri ?? "http://localhost:8080/mlflow";
  return (
    <Stack gap="xs">
      <Text size="sm">
        Log a model with MLflow, then open its run and press <b>Convert to model</b>:
      </Text>
      <Snippet
        label="Python"
        code={`import mlflow\n\nmlflow.set_tracking_uri("${uri}")  # with MLFLOW_TRACKING_TOKEN in the environment\nmlflow.sklearn.log_model(model, name="model", signature=signature, input_example=rows)`}
      />
      <Text size="xs" c="dimmed">
        A token is made on the{" "}
        <Anchor component={Link} to="/account" size="xs" underline="always">
          account page
        </Anchor>
        .
      </Text>
    </Stack>
  );
}

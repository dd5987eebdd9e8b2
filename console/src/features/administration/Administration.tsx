import { Tabs } from "@mantine/core";
import { Page } from "../../parts/Bits";
import { useUrl } from "../../parts/useUrl";
import { Audit } from "./Audit";
import { Projects } from "./Projects";
import { System } from "./System";
import { Usage } from "./Usage";
import { Users } from "./Users";

export default function Administration() {
  const [tab, setTab] = useUrl("tab", "users");
  return (
    <Page title="Administration">
      <Tabs value={tab} onChange={(value) => setTab(value ?? "users")}>
        <Tabs.List mb="md">
          <Tabs.Tab value="users">Users</Tabs.Tab>
          <Tabs.Tab value="projects">Projects</Tabs.Tab>
          <Tabs.Tab value="usage">Usage</Tabs.Tab>
          <Tabs.Tab value="audit">Audit log</Tabs.Tab>
          <Tabs.Tab value="system">System</Tabs.Tab>
        </Tabs.List>
        <Tabs.Panel value="users">
          <Users />
        </Tabs.Panel>
        <Tabs.Panel value="projects">
          <Projects />
        </Tabs.Panel>
        <Tabs.Panel value="usage">
          <Usage />
        </Tabs.Panel>
        <Tabs.Panel value="audit">
          <Audit />
        </Tabs.Panel>
        <Tabs.Panel value="system">
          <System />
        </Tabs.Panel>
      </Tabs>
    </Page>
  );
}

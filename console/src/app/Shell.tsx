import {
  ActionIcon,
  Alert,
  AppShell,
  Box,
  Burger,
  Group,
  Kbd,
  Menu,
  NavLink,
  Text,
  Tooltip,
  UnstyledButton,
  useComputedColorScheme,
  useMantineColorScheme,
  VisuallyHidden,
} from "@mantine/core";
import { useDisclosure, useHotkeys } from "@mantine/hooks";
import {
  IconActivity,
  IconBox,
  IconChevronDown,
  IconFlask,
  IconHome,
  IconLogout,
  IconMoon,
  IconPlugConnectedX,
  IconRocket,
  IconSearch,
  IconShieldCog,
  IconSun,
  IconUser,
} from "@tabler/icons-react";
import { useQueryClient } from "@tanstack/react-query";
import { useEffect } from "react";
import { Link, Outlet, useLocation, useNavigate } from "react-router";
import { isAdministrator, useAct, useWhoAmI } from "../api/hooks";
import icon from "./icon.svg";
import { useLive } from "./live";
import { Palette } from "./Palette";
import { Shortcuts } from "./Shortcuts";
import { SignInAgain } from "./SignInAgain";

const SECTIONS = [
  { to: "/", label: "Home", icon: IconHome, admin: false },
  { to: "/experiments", label: "Experiments", icon: IconFlask, admin: false },
  { to: "/models", label: "Models", icon: IconBox, admin: false },
  { to: "/deployments", label: "Production", icon: IconRocket, admin: true },
  { to: "/monitoring", label: "Monitoring", icon: IconActivity, admin: true },
  { to: "/administration", label: "Administration", icon: IconShieldCog, admin: true },
];

export function Shell() {
  const who = useWhoAmI();
  const place = useLocation();
  const go = useNavigate();
  const live = useLive(who.data !== undefined);
  const [isOpen, menu] = useDisclosure(false);
  const [isSearching, search] = useDisclosure(false);
  const [showsKeys, keys] = useDisclosure(false);
  useHotkeys([
    ["mod+K", search.open],
    ["shift+?", keys.open],
    ...SECTIONS.map(({ to }, number): [string, () => void] => [`alt+${number + 1}`, () => go(to)]),
  ]);
  const isOut = who.error?.status === 401;
  const isIn = who.data !== undefined;
  useEffect(() => {
    if (isOut && !isIn) go(`/sign-in?next=${encodeURIComponent(place.pathname + place.search)}`, { replace: true });
  }, [isOut, isIn, go, place.pathname, place.search]);
  useEffect(() => {
    if (who.data?.must_change_password && place.pathname !== "/account") go("/account?tab=password", { replace: true });
  }, [who.data, go, place.pathname]);
  if (!who.data) {
    return who.error && !isOut ? (
      <Box p="xl">
        <Alert color="red" title={who.error.message}>
          {who.error.hint}
        </Alert>
      </Box>
    ) : null;
  }
  const may = (admin: boolean) => !admin || isAdministrator(who.data);
  return (
    <AppShell
      header={{ height: 48 }}
      navbar={{ width: 196, breakpoint: "sm", collapsed: { mobile: !isOpen } }}
      padding="md"
    >
      <a className="skip" href="#main">
        To the content
      </a>
      <AppShell.Header>
        <Group h="100%" px="md" justify="space-between" wrap="nowrap">
          <Group gap="sm" wrap="nowrap">
            <Burger opened={isOpen} onClick={menu.toggle} hiddenFrom="sm" size="sm" aria-label="Sections" />
            <UnstyledButton component={Link} to="/" aria-label="Taxiway, home">
              <Group gap={8} wrap="nowrap">
                <img src={icon} width={24} height={24} alt="" />
                <Text fw={700} fz="lg">
                  Taxiway
                </Text>
              </Group>
            </UnstyledButton>
          </Group>
          <Group gap="xs" wrap="nowrap">
            <Tooltip label="Search and go (Ctrl+K)">
              <UnstyledButton onClick={search.open} className="search">
                <Group gap={6} wrap="nowrap">
                  <IconSearch size={16} />
                  <VisuallyHidden>Search</VisuallyHidden>
                  <Text size="sm" c="dimmed" visibleFrom="sm" aria-hidden>
                    Search
                  </Text>
                  <Kbd size="xs" visibleFrom="sm" aria-hidden>
                    Ctrl K
                  </Kbd>
                </Group>
              </UnstyledButton>
            </Tooltip>
            <Scheme />
            <Person name={who.data.name} role={who.data.role} />
          </Group>
        </Group>
      </AppShell.Header>
      <AppShell.Navbar p="xs" component="nav" aria-label="Sections">
        {SECTIONS.filter(({ admin }) => may(admin)).map(({ to, label, icon: Icon }) => (
          <NavLink
            key={to}
            component={Link}
            to={to}
            label={label}
            leftSection={<Icon size={17} />}
            onClick={menu.close}
            active={
              to === "/"
                ? place.pathname === "/"
                : place.pathname.startsWith(to) || (to === "/experiments" && place.pathname.startsWith("/runs"))
            }
          />
        ))}
      </AppShell.Navbar>
      <AppShell.Main id="main">
        {live === "down" && (
          <Alert
            color="orange"
            mb="md"
            icon={<IconPlugConnectedX size={16} />}
            title="Taxiway does not answer at the moment"
            role="status"
          >
            Endpoints are not affected. What is shown is what it was; it is looked at again as soon as Taxiway answers.
          </Alert>
        )}
        <Outlet />
      </AppShell.Main>
      <Palette isOpen={isSearching} close={search.close} />
      <SignInAgain who={who.data} isOpen={isOut} />
      <Shortcuts isOpen={showsKeys} close={keys.close} />
    </AppShell>
  );
}

function Scheme() {
  const { setColorScheme } = useMantineColorScheme();
  const now = useComputedColorScheme("light");
  return (
    <Tooltip label={now === "dark" ? "Light" : "Dark"}>
      <ActionIcon
        variant="subtle"
        color="gray"
        aria-label="Light or dark"
        onClick={() => setColorScheme(now === "dark" ? "light" : "dark")}
      >
        {now === "dark" ? <IconSun size={17} /> : <IconMoon size={17} />}
      </ActionIcon>
    </Tooltip>
  );
}

function Person({ name, role }: { name: string; role: string }) {
  const act = useAct<void>();
  const go = useNavigate();
  const client = useQueryClient();
  return (
    <Menu position="bottom-end" width={200}>
      <Menu.Target>
        <UnstyledButton aria-label={`Account of ${name}`}>
          <Group gap={4} wrap="nowrap">
            <IconUser size={16} />
            <Text size="sm" visibleFrom="sm">
              {name}
            </Text>
            <IconChevronDown size={12} />
          </Group>
        </UnstyledButton>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Label>{role}</Menu.Label>
        <Menu.Item component={Link} to="/account" leftSection={<IconUser size={14} />}>
          Account and tokens
        </Menu.Item>
        <Menu.Item
          leftSection={<IconLogout size={14} />}
          onClick={() =>
            act.mutate(
              { method: "DELETE", path: "/session" },
              {
                onSettled: () => {
                  client.clear();
                  go("/sign-in");
                },
              },
            )
          }
        >
          Sign out
        </Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}

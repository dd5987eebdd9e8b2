import {
  ActionIcon,
  Alert,
  Anchor,
  Box,
  Button,
  Code,
  CopyButton,
  Group,
  Paper,
  Skeleton,
  Stack,
  Text,
  Title,
  Tooltip,
} from "@mantine/core";
import { IconAlertTriangle, IconCheck, IconCopy } from "@tabler/icons-react";
import type { ReactNode } from "react";
import { Link } from "react-router";
import type { Problem } from "../api/client";
import { ago, utc } from "./format";

export function Page({
  title,
  crumbs,
  actions,
  children,
}: {
  title: ReactNode;
  crumbs?: { label: string; to: string }[];
  actions?: ReactNode;
  children: ReactNode;
}) {
  return (
    <Stack gap="md">
      <Group justify="space-between" align="flex-end" gap="sm">
        <Box miw={0} maw="100%">
          {crumbs && (
            <Group gap={6}>
              {crumbs.map((crumb) => (
                <Anchor key={crumb.to} component={Link} to={crumb.to} size="xs" c="dimmed">
                  {crumb.label} /
                </Anchor>
              ))}
            </Group>
          )}
          <Title order={1} style={{ overflowWrap: "anywhere" }}>
            {title}
          </Title>
        </Box>
        {actions && <Group gap="xs">{actions}</Group>}
      </Group>
      {children}
    </Stack>
  );
}

export function Panel({
  title,
  actions,
  children,
  pad = "md",
}: {
  title?: ReactNode;
  actions?: ReactNode;
  children: ReactNode;
  pad?: string | number;
}) {
  return (
    <Paper withBorder radius="md" p={0} component="section">
      {title && (
        <Group justify="space-between" px="md" py={8} className="panel-head">
          <Title order={2}>{title}</Title>
          {actions && <Group gap="xs">{actions}</Group>}
        </Group>
      )}
      <Box p={pad} className={pad === 0 ? "flush" : undefined}>
        {children}
      </Box>
    </Paper>
  );
}

export function ErrorBox({ problem }: { problem: Problem | null | undefined }) {
  if (!problem) return null;
  return (
    <Alert color="red" icon={<IconAlertTriangle size={16} />} title={problem.message} role="alert">
      {problem.hint}
    </Alert>
  );
}

export function Waiting({ rows = 4 }: { rows?: number }) {
  return (
    <Stack gap={8} role="status" aria-busy="true" aria-label="Loading">
      {Array.from({ length: rows }, (_, row) => `row-${row}`).map((row) => (
        <Skeleton key={row} height={22} />
      ))}
    </Stack>
  );
}

/** Shows what was looked up, or why it could not be, or that it is on its way. */
export function Shown<T>({
  of,
  children,
  rows,
}: {
  of: { data: T | undefined; error: Problem | null; isPending: boolean };
  children: (data: T) => ReactNode;
  rows?: number;
}) {
  if (of.data !== undefined) return <>{children(of.data)}</>;
  if (of.error) return <ErrorBox problem={of.error} />;
  return <Waiting rows={rows} />;
}

export function Empty({ title, children, action }: { title: string; children?: ReactNode; action?: ReactNode }) {
  return (
    <Stack align="center" gap="xs" py="xl">
      <Text fw={600}>{title}</Text>
      <Box c="dimmed" fz="sm" maw={640} ta="center">
        {children}
      </Box>
      {action}
    </Stack>
  );
}

export function Time({ at }: { at: string | null | undefined }) {
  if (!at)
    return (
      <Text span c="dimmed">
        –
      </Text>
    );
  return (
    <Tooltip label={utc(at)}>
      <Text span inherit component="time" dateTime={at}>
        {ago(at)}
      </Text>
    </Tooltip>
  );
}

export function Copy({ text, label = "Copy" }: { text: string; label?: string }) {
  return (
    <CopyButton value={text} timeout={1500}>
      {({ copied, copy }) => (
        <Tooltip label={copied ? "Copied" : label}>
          <ActionIcon size="sm" variant="subtle" color={copied ? "teal" : "gray"} onClick={copy} aria-label={label}>
            {copied ? <IconCheck size={14} /> : <IconCopy size={14} />}
          </ActionIcon>
        </Tooltip>
      )}
    </CopyButton>
  );
}

export function Snippet({ code, label }: { code: string; label?: string }) {
  return (
    <Box pos="relative">
      <Code block data-snippet={label} className="snippet">
        {code}
      </Code>
      <Box pos="absolute" top={4} right={4}>
        <Copy text={code} label={`Copy ${label ?? "text"}`} />
      </Box>
    </Box>
  );
}

/** Names and what they are; `isWide` where addresses and ids are among them. */
export function Facts({ of, isWide = false }: { of: [string, ReactNode][]; isWide?: boolean }) {
  return (
    <dl className={isWide ? "facts wide" : "facts"}>
      {of.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

/** A button that is shown although it may not be pressed, with the reason. */
export function Guarded({
  allowed = true,
  reason = "",
  label,
  ...rest
}: {
  allowed?: boolean;
  reason?: string;
  label: ReactNode;
  onClick: () => void;
  loading?: boolean;
  color?: string;
  variant?: string;
  leftSection?: ReactNode;
}) {
  const button = (
    <Button {...rest} disabled={!allowed} data-disabled={!allowed || undefined}>
      {label}
    </Button>
  );
  return allowed || !reason ? (
    button
  ) : (
    <Tooltip label={reason} multiline maw={320}>
      <Box component="span">{button}</Box>
    </Tooltip>
  );
}

export function Figure({ label, value, hint, to }: { label: string; value: ReactNode; hint?: ReactNode; to?: string }) {
  const inner = (
    <Paper withBorder radius="md" px="md" py="sm" h="100%">
      <Text size="xs" c="dimmed">
        {label}
      </Text>
      <Text fz={22} fw={600} lh={1.3}>
        {value}
      </Text>
      {hint && (
        <Text size="xs" c="dimmed">
          {hint}
        </Text>
      )}
    </Paper>
  );
  return to ? (
    <Box component={Link} to={to} className="plain-link">
      {inner}
    </Box>
  ) : (
    inner
  );
}

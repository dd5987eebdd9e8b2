import { Group, Kbd, Modal, Stack, Text } from "@mantine/core";

const KEYS: [string, string][] = [
  ["Ctrl K", "Search and go"],
  ["?", "This list"],
  ["Alt 1 … 6", "Home, Experiments, Models, Production, Monitoring, Administration"],
  ["Tab, Enter", "Go through a page; open what is marked"],
  ["Esc", "Close a dialog"],
];

export function Shortcuts({ isOpen, close }: { isOpen: boolean; close: () => void }) {
  return (
    <Modal opened={isOpen} onClose={close} title="Keyboard" size="sm">
      <Stack gap="xs">
        {KEYS.map(([key, does]) => (
          <Group key={key} justify="space-between" wrap="nowrap">
            <Kbd>{key}</Kbd>
            <Text size="sm" ta="right">
              {does}
            </Text>
          </Group>
        ))}
      </Stack>
    </Modal>
  );
}

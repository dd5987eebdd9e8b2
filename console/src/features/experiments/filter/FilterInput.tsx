import { Combobox, TextInput, useCombobox } from "@mantine/core";
import { IconFilter } from "@tabler/icons-react";
import { useLayoutEffect, useMemo, useRef, useState } from "react";
import { complete, completionsAt, type Known } from "./completion";
import { type Token, tokensOf } from "./tokens";

export interface Mistake {
  begin: number;
  end: number;
}

/** A line in MLflow's filter language: coloured, completed from what is known, mistakes underlined. */
export function FilterInput({
  value,
  onChange,
  onFocus,
  known,
  place,
  error,
}: {
  value: string;
  onChange: (value: string) => void;
  onFocus: () => void;
  known: Known;
  /** Where the server found a mistake, and what it said. */
  place: Mistake | undefined;
  error: string | undefined;
}) {
  const input = useRef<HTMLInputElement>(null);
  const mirror = useRef<HTMLDivElement>(null);
  const [cursor, setCursor] = useState(value.length);
  const jump = useRef<number | null>(null);
  const list = useCombobox({ onDropdownClose: () => list.resetSelectedOption() });
  const tokens = useMemo(() => tokensOf(value), [value]);
  const found = useMemo(() => completionsAt(value, cursor, known), [value, cursor, known]);
  const wrong = tokens.find((token) => token.mistake);
  // A word that is being typed is no mistake yet.
  const isTyping = list.dropdownOpened && found.items.length > 0;
  const follow = () => {
    if (mirror.current && input.current) mirror.current.scrollLeft = input.current.scrollLeft;
  };
  useLayoutEffect(() => {
    if (jump.current !== null) {
      input.current?.setSelectionRange(jump.current, jump.current);
      jump.current = null;
    }
    follow();
  });
  const choose = (item: string) => {
    const done = complete(value, found, item);
    onChange(done.filter);
    setCursor(done.cursor);
    jump.current = done.cursor;
    list.resetSelectedOption();
    input.current?.focus();
  };
  return (
    <Combobox store={list} onOptionSubmit={choose} position="bottom-start" width={320}>
      <Combobox.Target withExpandedAttribute>
        <TextInput
          ref={input}
          flex={1}
          miw={{ base: "100%", sm: 220 }}
          role="combobox"
          aria-label="Filter"
          aria-autocomplete="list"
          autoCapitalize="off"
          spellCheck={false}
          leftSection={<IconFilter size={14} />}
          classNames={{ input: "filter-input" }}
          inputContainer={(children) => (
            <div className="filter-box">
              {children}
              <div className="filter-mirror" ref={mirror} aria-hidden>
                <Coloured tokens={tokens} place={isTyping ? undefined : place} />
              </div>
            </div>
          )}
          value={value}
          onChange={(event) => {
            onChange(event.currentTarget.value);
            setCursor(event.currentTarget.selectionStart ?? event.currentTarget.value.length);
            list.openDropdown();
            list.resetSelectedOption();
          }}
          onSelect={(event) => setCursor(event.currentTarget.selectionStart ?? 0)}
          onScroll={follow}
          onFocus={onFocus}
          onClick={() => list.openDropdown()}
          onBlur={() => list.closeDropdown()}
          placeholder="metrics.auc > 0.9 and params.trees = '200'"
          error={wrong?.mistake ?? (isTyping ? undefined : error)}
        />
      </Combobox.Target>
      <Combobox.Dropdown hidden={found.items.length === 0}>
        <Combobox.Options mah={260} style={{ overflowY: "auto" }} aria-label="Completions">
          {found.what ? (
            <Combobox.Group label={found.what}>{options(found.items)}</Combobox.Group>
          ) : (
            options(found.items)
          )}
        </Combobox.Options>
      </Combobox.Dropdown>
    </Combobox>
  );
}

const options = (items: string[]) =>
  items.map((item) => (
    <Combobox.Option key={item} value={item} ff="monospace" fz="xs">
      {item}
    </Combobox.Option>
  ));

function Coloured({ tokens, place }: { tokens: Token[]; place: Mistake | undefined }) {
  return tokens.flatMap((token) => {
    const isWrong = token.mistake !== "";
    const cuts = place ? [place.begin, place.end].filter((cut) => token.begin < cut && cut < token.end) : [];
    const edges = [token.begin, ...cuts, token.end];
    return edges.slice(1).map((end, number) => {
      const begin = edges[number] ?? token.begin;
      const isMarked = isWrong || (place !== undefined && place.begin <= begin && end <= place.end);
      return (
        <span key={begin} className={`token-${token.kind}${isMarked ? " token-wrong" : ""}`}>
          {token.text.slice(begin - token.begin, end - token.begin)}
        </span>
      );
    });
  });
}

/** The words of MLflow's filter language, for colours and completions; what they mean, MLflow alone decides. */

export type Kind = "space" | "name" | "operator" | "value" | "joint" | "list" | "unknown";

export interface Token {
  kind: Kind;
  begin: number;
  end: number;
  text: string;
  /** Why it can be no word at all; empty for words. */
  mistake: string;
}

const FORMS: [RegExp, Kind, string][] = [
  [/\s+/y, "space", ""],
  [/'[^']*'|"[^"]*"/y, "value", ""],
  [/['"].*$/sy, "value", "This quotation mark is not closed."],
  [/[-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?/y, "value", ""],
  [/!=|<=|>=|=|<|>/y, "operator", ""],
  [/(?:not\s+in|is\s+not\s+null|is\s+null|i?like|in|is|not)(?![\w.])/iy, "operator", ""],
  [/and(?![\w.])/iy, "joint", ""],
  [/[A-Za-z_]\w*\.(?:`[^`]*`|"[^"]*")/y, "name", ""],
  [/[A-Za-z_]\w*\.`.*$/sy, "name", "This backtick is not closed."],
  [/`[^`]*`|[A-Za-z_]\w*(?:\.[\w.]*)?/y, "name", ""],
  [/`.*$/sy, "name", "This backtick is not closed."],
  [/[(),]/y, "list", ""],
  [/./suy, "unknown", "This sign stands in no filter; other letters of a name stand in backticks."],
];

/** Takes a filter apart; the tokens together are the whole text. */
export function tokensOf(text: string): Token[] {
  const found: Token[] = [];
  let at = 0;
  while (at < text.length) {
    for (const [form, kind, mistake] of FORMS) {
      form.lastIndex = at;
      const match = form.exec(text);
      if (match) {
        found.push({ kind, begin: at, end: at + match[0].length, text: match[0], mistake });
        at += match[0].length;
        break;
      }
    }
  }
  return found;
}

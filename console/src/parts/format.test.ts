import { describe, expect, it } from "vitest";
import { ago, bytes, counted, duration, figure, milliseconds, moment } from "./format";

describe("figures", () => {
  it("have at most four significant digits and no tail of zeros", () => {
    expect([0, 1, 0.12345, 12345.678, 1e7, 0.00001234, Number.NaN].map(figure)).toEqual([
      "0",
      "1",
      "0.1235",
      "12350",
      "1.00e+7",
      "1.23e-5",
      "NaN",
    ]);
    expect(figure(null)).toBe("–");
  });

  it("have their unit", () => {
    expect([0, 1023, 1024, 1536, 3 * 1024 ** 3].map(bytes)).toEqual(["0 B", "1023 B", "1.0 KiB", "1.5 KiB", "3.0 GiB"]);
    expect([0.004, 3.25, 75, 3700].map(duration)).toEqual(["4 ms", "3.3 s", "1 min 15 s", "1 h 1 min"]);
    expect([0.5, 12.345, 1500].map(milliseconds)).toEqual(["0.5 ms", "12.3 ms", "1.50 s"]);
  });
});

describe("times", () => {
  const now = Date.parse("2026-01-01T12:00:00Z");
  it("are told from now", () => {
    expect(ago("2026-01-01T11:59:59.5Z", now)).toBe("now");
    expect(ago("2026-01-01T11:58:00Z", now)).toBe("2 min ago");
    expect(ago("2026-01-03T12:00:00Z", now)).toBe("in 2 d");
    expect(ago(null, now)).toBe("–");
  });
});

it("counts one and many", () => {
  expect([0, 1, 2].map((count) => counted(count, "run"))).toEqual(["0 runs", "1 run", "2 runs"]);
});

describe("moments on an axis", () => {
  const at = (...of: [number, number, number, number?, number?, number?]) => new Date(...of).getTime() / 1000;
  it("are as exact as the marks are close, and name the day where it begins", () => {
    expect(moment(at(2026, 10, 27, 16, 5, 30), 10)).toBe("16:05:30");
    expect(moment(at(2026, 10, 27, 16, 5), 300)).toBe("16:05");
    expect(moment(at(2026, 10, 27, 0, 0), 3600)).toBe("27 Nov");
    expect(moment(at(2026, 10, 27, 12, 0), 86400)).toBe("27 Nov");
  });
});

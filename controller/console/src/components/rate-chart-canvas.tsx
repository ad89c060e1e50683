import { LineChart, ScaleTypes, type ChartTabularData, type LineChartOptions } from "@carbon/charts-react";
import "@carbon/charts-react/styles.min.css";
import { useEffect, useMemo, useRef } from "react";
import { inZone } from "@/hooks/format";
import { useTheme } from "@/hooks/theme";
import type { RateChartUse } from "./rate-chart";

/** The chart itself, apart from the rest because of its size. */
export default function RateChartCanvas(props: RateChartUse) {
  const { label, from, step, series, axis, format, height = "16rem" } = props;
  const { shown } = useTheme();
  const steps = Math.max(1, ...series.map(({ values }) => values.length - 1));
  const data = useMemo<ChartTabularData>(
    () =>
      series.flatMap(({ name, values }) =>
        values.map((value, index) => ({ group: name, date: new Date(from + index * step), value })),
      ),
    [from, step, series],
  );
  const options = useMemo<LineChartOptions>(
    () => ({
      accessibility: { svgAriaLabel: label },
      animations: false,
      theme: shown === "dark" ? "g100" : "white",
      height,
      points: { enabled: false },
      toolbar: { enabled: false },
      legend: { enabled: series.length > 1, clickable: true },
      grid: { x: { enabled: false } },
      timeScale: { addSpaceOnEdges: 0 },
      axes: {
        bottom: {
          mapsTo: "date",
          scaleType: ScaleTypes.TIME,
          // The whole span, also where nothing is known of its beginning.
          ticks: { number: 6 },
          domain: [new Date(from), new Date(from + steps * step)],
        },
        left: {
          mapsTo: "value",
          title: axis,
          scaleType: ScaleTypes.LINEAR,
          includeZero: true,
          ticks: { number: 4, formatter: (value: number | Date) => format(Number(value)) },
        },
      },
      tooltip: {
        valueFormatter: (value: unknown) =>
          value instanceof Date ? inZone(value) : typeof value === "number" ? format(value) : String(value),
      },
    }),
    [label, shown, height, series.length, axis, format, from, steps, step],
  );
  const box = useRulerRole();
  return (
    <div ref={box}>
      <LineChart data={data} options={options} />
    </div>
  );
}

/** The line under the pointer gets a label of the chart's, which only an element with a role may have. */
function useRulerRole() {
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const mend = () => box.current?.querySelector("g.ruler:not([role])")?.setAttribute("role", "img");
    const watch = new MutationObserver(mend);
    if (box.current) watch.observe(box.current, { childList: true, subtree: true });
    return () => watch.disconnect();
  }, []);
  return box;
}

import { lazy, Suspense } from "react";
import { LoadingState } from "@/components/states";

const Canvas = lazy(() => import("./rate-chart-canvas"));

/** A line of a chart. */
export interface RateSeries {
  name: string;
  /** A value for each step; null where nothing is known: a gap is not a zero. */
  values: readonly (number | null)[];
}

/** What a chart shows. */
export interface RateChartUse {
  /** What it shows, in words, for who does not see it. */
  label: string;
  /** Beginning of the first step, in milliseconds since 1970. */
  from: number;
  /** Milliseconds of a step. */
  step: number;
  series: readonly RateSeries[];
  /** The vertical axis. */
  axis: string;
  /** How a value is written. */
  format: (value: number) => string;
  /** Such as `16rem`. */
  height?: string;
}

/** Rates or lag over time. Carbon's charts are large: they are loaded when the first one is shown. */
export function RateChart(props: RateChartUse) {
  return (
    <Suspense fallback={<LoadingState />}>
      <Canvas {...props} />
    </Suspense>
  );
}

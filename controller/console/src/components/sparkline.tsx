/** A small line of the last hour. Gaps stay gaps: an absent value is not a zero. */
export function Sparkline({ values, label }: { values: readonly (number | null)[]; label: string }) {
  const width = 96;
  const height = 20;
  const top = Math.max(1e-9, ...values.map((value) => value ?? 0));
  const step = width / Math.max(1, values.length - 1);
  let path = "";
  let drawing = false;
  values.forEach((value, index) => {
    if (value === null) {
      drawing = false;
      return;
    }
    const y = height - 1 - (value / top) * (height - 2);
    path += `${drawing ? "L" : "M"}${(index * step).toFixed(1)} ${y.toFixed(1)}`;
    drawing = true;
  });
  return (
    <svg className="spark" viewBox={`0 0 ${String(width)} ${String(height)}`} role="img" aria-label={label}>
      <path d={path} />
    </svg>
  );
}

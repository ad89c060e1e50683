/** One line of two texts side by side. */
export interface Line {
  before: string | undefined;
  after: string | undefined;
  changed: boolean;
}

/** Beyond this many pairs of lines, what lies between the equal ends is shown as changed as a whole. */
const MOST_PAIRS = 4_000_000;

/** Two texts line beside line: equal lines face each other, and of what changed the old faces the new. */
export function beside(before: readonly string[], after: readonly string[]): Line[] {
  let head = 0;
  while (head < before.length && head < after.length && before[head] === after[head]) head += 1;
  let tail = 0;
  const room = Math.min(before.length, after.length) - head;
  while (tail < room && before.at(-1 - tail) === after.at(-1 - tail)) tail += 1;
  const same = (text: string): Line => ({ before: text, after: text, changed: false });
  return [
    ...before.slice(0, head).map(same),
    ...middle(before.slice(head, before.length - tail), after.slice(head, after.length - tail)),
    ...before.slice(before.length - tail).map(same),
  ];
}

/** The longest common run of lines decides which face each other. */
function middle(before: readonly string[], after: readonly string[]): Line[] {
  if (before.length * after.length > MOST_PAIRS) return facing(before, after);
  const width = after.length + 1;
  const longest = new Uint32Array((before.length + 1) * width);
  const at = (row: number, column: number) => longest[row * width + column] ?? 0;
  for (let row = before.length - 1; row >= 0; row -= 1) {
    for (let column = after.length - 1; column >= 0; column -= 1) {
      longest[row * width + column] =
        before[row] === after[column]
          ? at(row + 1, column + 1) + 1
          : Math.max(at(row + 1, column), at(row, column + 1));
    }
  }
  const lines: Line[] = [];
  let [row, column, oldFrom, newFrom] = [0, 0, 0, 0];
  const flush = () => lines.push(...facing(before.slice(oldFrom, row), after.slice(newFrom, column)));
  while (row < before.length && column < after.length) {
    const text = before[row];
    if (text === after[column]) {
      flush();
      lines.push({ before: text, after: text, changed: false });
      row += 1;
      column += 1;
      [oldFrom, newFrom] = [row, column];
    } else if (at(row + 1, column) >= at(row, column + 1)) row += 1;
    else column += 1;
  }
  [row, column] = [before.length, after.length];
  flush();
  return lines;
}

/** Changed lines, the old ones beside the new ones. */
function facing(before: readonly string[], after: readonly string[]): Line[] {
  const length = Math.max(before.length, after.length);
  return Array.from({ length }, (_, index) => ({
    before: before[index],
    after: after[index],
    changed: true,
  }));
}

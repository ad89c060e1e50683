export const grid = {
  select: (name: string) => `Select ${name}`,
  selectAll: "Select all that match",
  selectNone: "Select none",
  selection: "Selection",
  columns: "Columns",
  columnsHelp: "Kept in this browser.",
  earlier: (column: string) => `Move ${column} to the left`,
  later: (column: string) => `Move ${column} to the right`,
  reset: "Reset columns",
};

/** Has the browser save a text as a file. */
export function saveText(name: string, text: string, type: string): void {
  const url = URL.createObjectURL(new Blob([text], { type }));
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  // At once, some browsers would find nothing to save.
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

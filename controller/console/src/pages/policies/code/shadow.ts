/**
 * The root in which code is shown: within a shadow root CodeMirror adopts style sheets, as our content security policy
 * allows; in the document it would have to insert `<style>`, which the policy forbids.
 */
export function shadowOf(host: HTMLElement): ShadowRoot {
  const root = host.shadowRoot ?? host.attachShadow({ mode: "open", delegatesFocus: false });
  root.replaceChildren();
  return root;
}

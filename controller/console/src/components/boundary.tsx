import { Button } from "@carbon/react";
import { Component, type ReactNode } from "react";
import { useLocation, useSearch } from "wouter";
import { wordsOf } from "@/api/problem";
import { useTitle } from "@/hooks/title";
import { texts } from "@/texts";

interface Props {
  /** The address: at another one it is tried anew. */
  at: string;
  children: ReactNode;
}

interface State {
  at: string;
  failed: { error: unknown } | undefined;
}

class Catcher extends Component<Props, State> {
  override state: State = { at: this.props.at, failed: undefined };

  static getDerivedStateFromError(error: unknown): Partial<State> {
    return { failed: { error } };
  }

  static getDerivedStateFromProps({ at }: Props, state: State): Partial<State> | null {
    return at === state.at ? null : { at, failed: undefined };
  }

  override render() {
    const { failed } = this.state;
    return failed ? <Failed error={failed.error} /> : this.props.children;
  }
}

/**
 * Keeps a fault in what it holds, or a part of the console that cannot be loaded, from emptying the window: menu and
 * session stay, and going elsewhere goes on.
 */
export function Boundary({ children }: { children: ReactNode }) {
  const [path] = useLocation();
  const search = useSearch();
  return <Catcher at={`${path}?${search}`}>{children}</Catcher>;
}

function Failed({ error }: { error: unknown }) {
  const t = texts.common.fault;
  useTitle(t.title);
  return (
    <div className="empty" role="alert">
      <h1>{t.title}</h1>
      <p>{t.help}</p>
      <p className="muted">{t.words(wordsOf(error))}</p>
      <Button onClick={() => window.location.reload()}>{t.reload}</Button>
    </div>
  );
}

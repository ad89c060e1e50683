import { Route, Switch } from "wouter";
import { List } from "./list";
import { PolicyPage } from "./policy";
import { ProposalPage } from "./proposal";
import "./policies.scss";

/** Policies: the list, one with its text, history and status, the editor, and what waits for a second person. */
export default function Policies() {
  return (
    <Switch>
      <Route path="/policies">
        <List />
      </Route>
      <Route path="/policies/-/proposals/:id">{({ id }) => <ProposalPage key={id} id={id} />}</Route>
      <Route path="/policies/:name/:tab?">
        {({ name, tab }) => <PolicyPage key={name} name={name} tab={tab} />}
      </Route>
    </Switch>
  );
}

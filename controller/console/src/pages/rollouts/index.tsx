import { Route, Switch } from "wouter";
import { NotFound } from "@/components/not-found";
import { RolloutPage } from "./detail";
import { RolloutList } from "./list";
import { Wizard } from "./wizard";
import "./rollouts.scss";

/** Rollouts: the list, one of them, and the way to start one. */
export default function Index() {
  return (
    <Switch>
      <Route path="/rollouts">
        <RolloutList />
      </Route>
      <Route path="/rollouts/new">
        <Wizard />
      </Route>
      <Route path="/rollouts/:id">
        {({ id }) =>
          /^[1-9][0-9]{0,14}$/.test(id) ? <RolloutPage key={id} id={Number(id)} /> : <NotFound />
        }
      </Route>
      <Route>
        <NotFound />
      </Route>
    </Switch>
  );
}

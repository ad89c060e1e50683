import { useQuery } from "@tanstack/react-query";
import type { Client } from "openapi-fetch";
import { api, body } from "@/api/client";
import type { EventView } from "./store";

/** An event as a destination, or any of that format, would get it. */
export interface EventFormat {
  format: string;
  /** A destination that has this format. */
  destination?: string | null;
  text: string;
}

/** One event in every form. */
export interface EventInFull {
  agent: string;
  event: EventView;
  /** The bytes of its entry in hexadecimal digits; absent where the agent does not keep them. */
  raw?: string | null;
  formats: EventFormat[];
}

interface OnePaths {
  "/api/v1/agents/{agent}/events/one": {
    get: {
      parameters: { path: { agent: string }; query: { id: string } };
      responses: { 200: { content: { "application/json": EventInFull } } };
    };
  };
}

/** One event, as the agent that read it still has it. It does not change, so it is asked for once. */
export function useOneEvent(agent: string, id: string) {
  return useQuery({
    queryKey: ["event", agent, id],
    queryFn: () =>
      body<EventInFull>(
        (api as unknown as Client<OnePaths>).GET("/api/v1/agents/{agent}/events/one", {
          params: { path: { agent }, query: { id } },
        }),
      ),
    retry: false,
    staleTime: Infinity,
    refetchOnWindowFocus: false,
  });
}

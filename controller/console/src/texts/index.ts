import { en } from "./en";

/** Every text of the console in one language. Another language is another object of this type. */
export type Texts = typeof en;

/** The texts in the viewer's language. English is the only one so far. */
export const texts: Texts = en;

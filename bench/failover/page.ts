/** The page of a bench: tables and plots in one file that loads nothing. */
import type { Results } from './results.js';

export const escape = (text: string): string =>
  text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);

export function page(results: Results): string {
  return `<pre>${escape(results.table())}</pre>`;
}

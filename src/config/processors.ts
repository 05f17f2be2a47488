/** Lists of processors: `--media-cpus`. */
import { ConfigError } from './errors.js';

/** What the kernel's masks are asked for; Linux builds have at most so many. */
const maxProcessors = 8192;

/**
 * From numbers and ranges as in cpuset(7), separated by commas or given several times: `0,2-3`. In the order
 * in which they were given, each once. @throws ConfigError naming what is none.
 */
export function processorList(option: string, texts: readonly string[]): readonly number[] {
  const found = new Set<number>();
  for (const text of texts.flatMap((each) => each.split(',')).map((each) => each.trim())) {
    if (text === '') continue;
    const [, first = '', last = first] = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text) ?? [];
    const [from, to] = [Number(first), Number(last)];
    if (first === '' || from > to || to >= maxProcessors)
      throw new ConfigError('bad-value', option, `Invalid list of CPUs '${text}' (--${option})`);
    for (let each = from; each <= to; each += 1) found.add(each);
  }
  return [...found];
}

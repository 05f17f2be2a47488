/** The files of the live page, made at build time (scripts/build-ts), and the headers that they are sent with. */
import { readFileSync } from 'node:fs';

export interface LiveAsset {
  readonly body: Buffer;
  readonly headers: Readonly<Record<string, string>>;
}

/** Nothing but this server's own files and its WebSocket; nothing inline, no frames round it. */
const policy = [
  "default-src 'none'",
  ...["script-src 'self'", "style-src 'self'", "img-src 'self'", "connect-src 'self'"],
  ...["base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"],
].join('; ');

const files: readonly (readonly [path: string, file: string, type: string])[] = [
  ['/live/', 'index.html', 'text/html; charset=utf-8'],
  ['/live/live.js', 'live.js', 'text/javascript; charset=utf-8'],
  ['/live/theme.js', 'theme.js', 'text/javascript; charset=utf-8'],
  ['/live/live.css', 'live.css', 'text/css; charset=utf-8'],
  ['/live/icon.svg', 'icon.svg', 'image/svg+xml'],
];

/**
 * By path. @param folder with a slash at its end; beside the program by default.
 * @throws Error when a file is missing
 */
export function liveAssets(
  folder = new URL('../live/', import.meta.url),
): ReadonlyMap<string, LiveAsset> {
  return new Map(
    files.map(([path, file, type]) => [
      path,
      {
        body: readFileSync(new URL(file, folder)),
        headers: {
          'content-type': type,
          'content-security-policy': policy,
          'referrer-policy': 'no-referrer',
          'cross-origin-opener-policy': 'same-origin',
          'cross-origin-resource-policy': 'same-origin',
        },
      },
    ]),
  );
}

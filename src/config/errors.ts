/** Errors an operator can cause; the message is what the daemon prints before it exits with 1. */

/** What was wrong with the configuration. */
export type ConfigErrorCode =
  | 'command-line'
  | 'config-file'
  | 'bad-value'
  | 'missing-option'
  | 'unsupported'
  | 'address-not-local'
  | 'unresolvable';

/** A configuration that the daemon cannot start with. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';

  /**
   * @param code class of the mistake.
   * @param option long option name it concerns, null when it concerns none in particular.
   */
  constructor(
    readonly code: ConfigErrorCode,
    readonly option: string | null,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

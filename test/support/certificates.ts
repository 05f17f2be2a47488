/** Certificates made for one test by openssl: an authority and what it signs. */
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { TemporaryFolder } from './child-process.js';

export interface CertificateFiles {
  readonly cert: string;
  readonly key: string;
}

export class CertificateAuthority {
  readonly #folder = new TemporaryFolder('certificates');
  /** PEM file of the authority's own certificate. */
  readonly file: string;

  constructor(name: string) {
    this.file = this.#folder.file('ca.crt');
    this.#openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', [
      ...['-nodes', '-days', '2', '-subj', `/CN=${name}`],
      ...['-keyout', this.#folder.file('ca.key'), '-out', this.file],
    ]);
  }

  /** @param subjects subjectAltName, e.g. `DNS:localhost,IP:127.0.0.1`. */
  issue(name: string, subjects: string): CertificateFiles {
    const [key, request, cert] = ['key', 'csr', 'crt'].map((end) =>
      this.#folder.file(`${name}.${end}`),
    ) as [string, string, string];
    const extensions = this.#folder.file(`${name}.ext`);
    writeFileSync(extensions, `subjectAltName=${subjects}\n`);
    this.#openssl('req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', [
      ...['-nodes', '-subj', `/CN=${name}`, '-keyout', key, '-out', request],
    ]);
    this.#openssl('x509', '-req', '-in', request, [
      ...['-CA', this.file, '-CAkey', this.#folder.file('ca.key'), '-CAcreateserial'],
      ...['-days', '2', '-extfile', extensions, '-out', cert],
    ]);
    return { cert, key };
  }

  remove(): void {
    this.#folder.remove();
  }

  #openssl(...words: readonly (string | readonly string[])[]): void {
    execFileSync('openssl', words.flat(), { stdio: 'ignore' });
  }
}

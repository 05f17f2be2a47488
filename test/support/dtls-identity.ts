/** A certificate for tests without the engine that makes them. */
import type { DtlsIdentity } from '../../src/media/media-attributes.js';

export const testIdentity: DtlsIdentity = {
  certificate: `-----BEGIN CERTIFICATE-----
MIIBdjCCARugAwIBAgIULKRyhfL+svLSMBrM7UNVfr8gRKowCgYIKoZIzj0EAwIw
DzENMAsGA1UEAwwEdGVzdDAgFw0yNjExMjkxMTMwMjNaGA8yMTI2MTEwNTExMzAy
M1owDzENMAsGA1UEAwwEdGVzdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABPsV
zill8nbyQ1xSKOeS55Z3o6UspJzO4VfBpeEeovdIcJ5kg7UsPm+y2P1qfm5nhNla
frD+HzJYPd1ilHGQW3+jUzBRMB0GA1UdDgQWBBQssSUMmvAUySp6GEXy2MO/pwHS
6zAfBgNVHSMEGDAWgBQssSUMmvAUySp6GEXy2MO/pwHS6zAPBgNVHRMBAf8EBTAD
AQH/MAoGCCqGSM49BAMCA0kAMEYCIQDIUkBZgK/XE32BjDurAXiFX4f5V+E3DuZu
b1cotGIaXgIhAP22pasWLlQ89J2npr4uk7G9vBulAKB4f84muQJQ9u28
-----END CERTIFICATE-----
`,
  privateKey: `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgl5uhPatimyUqbEyM
QQhGOaLb0+eXcv30vI5Qf/epYWOhRANCAAT7Fc4pZfJ28kNcUijnkueWd6OlLKSc
zuFXwaXhHqL3SHCeZIO1LD5vstj9an5uZ4TZWn6w/h8yWD3dYpRxkFt/
-----END PRIVATE KEY-----
`,
};

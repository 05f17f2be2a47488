import importX, { createNodeResolver } from 'eslint-plugin-import-x';
import tseslint from 'typescript-eslint';

/** Folders and what of src/ they may import (design: dependency rules). */
const zones = [
  [
    'sdp',
    [
      'ng-protocol',
      'media',
      'native',
      'redis-store',
      'kernel-forward',
      'observe',
      'config',
      'daemon',
    ],
  ],
  [
    'config',
    ['ng-protocol', 'media', 'native', 'redis-store', 'kernel-forward', 'observe', 'sdp', 'daemon'],
  ],
  [
    'ng-protocol',
    ['media', 'native', 'redis-store', 'kernel-forward', 'observe', 'config', 'daemon'],
  ],
  [
    'media',
    ['ng-protocol', 'native', 'redis-store', 'kernel-forward', 'observe', 'config', 'daemon'],
  ],
  [
    'native',
    ['ng-protocol', 'redis-store', 'kernel-forward', 'observe', 'config', 'daemon', 'sdp'],
  ],
  [
    'redis-store',
    ['ng-protocol', 'native', 'kernel-forward', 'observe', 'config', 'daemon', 'sdp'],
  ],
  ['kernel-forward', ['ng-protocol', 'redis-store', 'observe', 'config', 'daemon', 'sdp']],
  ['observe', ['redis-store', 'kernel-forward', 'daemon', 'sdp']],
].map(([folder, from]) => ({
  target: `./src/${folder}`,
  from: from.map((name) => `./src/${name}`),
  // What the call model is asked for is the request as it was parsed: types, nothing that runs.
  except: ['./requests.ts'],
  message: `src/${folder} must not depend on it (ARCHITECTURE.md, dependency rules)`,
}));

export default tseslint.config(
  { ignores: ['dist/', 'build/', 'node_modules/', 'coverage/', 'scripts/*.cjs'] },
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.base],
    plugins: { 'import-x': importX },
    languageOptions: { parserOptions: { projectService: true } },
    settings: {
      'import-x/resolver-next': [
        createNodeResolver({
          extensions: ['.ts', '.js'],
          extensionAlias: { '.js': ['.ts', '.js'] },
        }),
      ],
      'import-x/parsers': { '@typescript-eslint/parser': ['.ts'] },
    },
    rules: {
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/no-non-null-assertion': 'error',
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-misused-promises': 'error',
      '@typescript-eslint/await-thenable': 'error',
      '@typescript-eslint/only-throw-error': 'error',
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': [
        'error',
        { considerDefaultExhaustiveForUnions: true },
      ],
      'import-x/no-default-export': 'error',
      'import-x/no-cycle': ['error', { ignoreExternal: true }],
      eqeqeq: 'error',
      'no-restricted-syntax': [
        'error',
        { selector: 'TSEnumDeclaration', message: 'use a union of strings' },
      ],
    },
  },
  {
    files: ['src/**/*.ts'],
    rules: {
      'import-x/no-restricted-paths': ['error', { zones }],
      'no-restricted-properties': [
        'error',
        { object: 'process', property: 'env', message: 'the environment is passed in' },
        { object: 'Date', property: 'now', message: 'the clock is passed in' },
      ],
    },
  },
  {
    files: ['src/**/*.ts'],
    ignores: ['src/native/addon.ts'],
    rules: {
      'no-restricted-imports': [
        'error',
        { paths: [{ name: 'node:module', message: 'only src/native/addon.ts loads addons' }] },
      ],
    },
  },
  { files: ['**/*.d.ts'], rules: { 'import-x/no-default-export': 'off' } },
  { files: ['src/daemon/**/*.ts'], rules: { 'no-restricted-properties': 'off' } },
);

// Mocha's spec reporter that also leaves the totals, and the names of what failed, where scripts/test adds them up.
'use strict';
const { writeFileSync } = require('node:fs');
const Mocha = require('mocha');

module.exports = class Totals extends Mocha.reporters.Spec {
  constructor(runner, options) {
    super(runner, options);
    runner.once('end', () => {
      const { passes, failures, pending } = this.stats;
      const file = process.env.RTPRELAY_TOTALS;
      if (!file) return;
      const names = this.failures.map((test) => `${test.fullTitle()}: ${firstLine(test.err)}\n`);
      writeFileSync(file, [`${passes} ${failures} ${pending}\n`, ...names].join(''));
    });
  }
};

function firstLine(error) {
  return String(error?.message ?? error).split('\n', 1)[0];
}

// Mocha's spec reporter that also leaves the totals, and what failed, where scripts/test adds them up.
'use strict';
const { writeFileSync } = require('node:fs');
const { relative } = require('node:path');
const Mocha = require('mocha');

module.exports = class Totals extends Mocha.reporters.Spec {
  constructor(runner, options) {
    super(runner, options);
    runner.once('end', () => {
      const { passes, failures, pending } = this.stats;
      const file = process.env.RTPRELAY_TOTALS;
      if (!file) return;
      const failed = this.failures.map(
        (test) => `${relative('.', test.file ?? '')}\t${test.fullTitle()}: ${firstLine(test.err)}\n`,
      );
      writeFileSync(file, [`${passes} ${failures} ${pending}\n`, ...failed].join(''));
    });
  }
};

function firstLine(error) {
  return String(error?.message ?? error).split('\n', 1)[0];
}

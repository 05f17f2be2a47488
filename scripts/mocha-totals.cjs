// Mocha's spec reporter that also leaves the totals where scripts/test adds them up.
'use strict';
const { writeFileSync } = require('node:fs');
const Mocha = require('mocha');

module.exports = class Totals extends Mocha.reporters.Spec {
  constructor(runner, options) {
    super(runner, options);
    runner.once('end', () => {
      const { passes, failures, pending } = this.stats;
      const file = process.env.RTPRELAY_TOTALS;
      if (file) writeFileSync(file, `${passes} ${failures} ${pending}\n`);
    });
  }
};

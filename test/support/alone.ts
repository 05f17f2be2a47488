/** Tests start daemons without a parent; those of the process pair ask for one by `--pair=yes`. */
process.env['RTPRELAY_PAIR'] ??= 'no';

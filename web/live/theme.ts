/** Colours as chosen before, set before anything is drawn. Loaded by itself, so nothing is exported. */
try {
  const chosen = localStorage.getItem('rtprelay-theme');
  if (chosen === 'dark' || chosen === 'light') document.documentElement.dataset['theme'] = chosen;
} catch {
  // No storage: as the system has them.
}

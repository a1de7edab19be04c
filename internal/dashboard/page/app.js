// Moves the slider of the overview without loading the page again. Everything works without.
(() => {
  'use strict';
  const form = document.getElementById('what-if');
  if (!form) return;
  const slider = document.getElementById('at');
  const shown = document.getElementById('replay');
  const worth = document.getElementById('worth');
  form.querySelector('button').hidden = true;
  let wanted, running = false;
  const label = () => {
    const w = 1e-5 * 1e6 ** (slider.value / slider.max);
    worth.textContent = '$' + Number(w.toPrecision(2)) + ' for a unit of quality';
    slider.setAttribute('aria-valuetext', worth.textContent);
  };
  const load = async () => {
    if (running) return;
    running = true;
    while (wanted !== undefined) {
      const at = wanted;
      wanted = undefined;
      try {
        const answer = await fetch(form.dataset.from + '&at=' + at);
        if (answer.redirected) location.reload();
        const text = await answer.text();
        if (answer.ok) shown.innerHTML = text;
      } catch {
        shown.textContent = 'The gateway does not answer.';
      }
    }
    running = false;
  };
  slider.addEventListener('input', () => { label(); wanted = slider.value; load(); });
  document.getElementById('policy').addEventListener('change', () => form.submit());
  label();
})();

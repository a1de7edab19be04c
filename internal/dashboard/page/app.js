// Keeps the overview up to date and moves its slider without loading the page again.
// Everything works without.
(() => {
  'use strict';
  document.documentElement.classList.add('js');

  const refresh = document.getElementById('refresh');
  const live = document.getElementById('live');
  if (live) {
    setInterval(async () => {
      if (!refresh.checked || document.hidden || live.contains(document.activeElement)) return;
      try {
        const answer = await fetch(location.href);
        if (answer.redirected) location.reload();
        if (!answer.ok) return;
        const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
        live.replaceChildren(...page.getElementById('live').childNodes);
      } catch {
        // The gateway does not answer: what was last known stays.
      }
    }, 10000);
  }

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
})();

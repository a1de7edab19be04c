// Keeps the overview up to date and moves its slider without loading the page again.
// Everything works without.
(() => {
  'use strict';
  document.documentElement.classList.add('js');

  const refresh = document.getElementById('refresh');
  const live = document.getElementById('live');
  if (live) {
    const stale = document.getElementById('stale'), alerts = document.getElementById('alerts');
    let seen = new Date(), asking = false;
    setInterval(async () => {
      if (asking || !refresh.checked || document.hidden || live.contains(document.activeElement)) return;
      asking = true;
      let text = '';
      try {
        const answer = await fetch(location.href);
        if (answer.redirected) return location.reload();
        if (!answer.ok) throw answer.status;
        const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
        live.replaceChildren(...page.getElementById('live').childNodes);
        const now = page.getElementById('alerts');
        if (now.innerHTML !== alerts.innerHTML) alerts.replaceChildren(...now.childNodes); // or they would be read aloud again
        seen = new Date();
      } catch { // what was last known stays
        text = 'These figures are of ' + seen.toLocaleTimeString() + ': there are no newer ones. Load the page again to see why.';
      } finally {
        asking = false;
      }
      if (stale.textContent !== text) stale.textContent = text;
      stale.hidden = text === '';
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
        if (answer.redirected) return location.reload();
        const text = await answer.text();
        if (answer.ok) shown.innerHTML = text;
        else shown.textContent = 'There is no answer to that. Load the page again to see why.';
      } catch {
        shown.textContent = 'The gateway does not answer.';
      }
    }
    running = false;
  };
  slider.addEventListener('input', () => { form.dataset.asked = ''; label(); wanted = slider.value; load(); });
  document.getElementById('policy').addEventListener('change', () => {
    slider.disabled = form.dataset.asked === undefined; // nothing is asked of the other policy either
    form.submit();
    slider.disabled = false;
  });
})();

'use strict';
(() => {
  const data = JSON.parse(document.getElementById('data').textContent);
  const byID = (id) => document.getElementById(id);
  document.documentElement.classList.add('js');

  // Numbers, formatted as in the rest of the page.
  const significant = (v) => v === 0 ? '0' : v.toFixed(Math.min(12, Math.max(0, 2 - Math.floor(Math.log10(Math.abs(v))))));
  const amount = (v) => data.perCall ? significant(v) + ' calls' : '$' + significant(v);
  const share = (v) => v > 0 && v < 0.005 ? '<1%' : Math.round(100 * v) + '%';
  const willing = (router, w) => w === null ? 'any price' : router.quality ? amount(w) : 'w = ' + significant(w);

  // The curves: a point is chosen with the pointer or the arrow keys.
  const stage = byID('stage');
  const readout = byID('readout');
  const live = byID('live');
  const charts = [...stage.querySelectorAll('svg.curves')];
  const hidden = new Set();
  const order = [...document.querySelectorAll('.legend input')].map((box) => Number(box.dataset.r));
  let chosen = null; // {router, at}: at is an index into pointsIn

  const create = (name, attributes, parent) => {
    const node = document.createElementNS('http://www.w3.org/2000/svg', name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    parent.append(node);
    return node;
  };
  const visible = () => charts.find((chart) => chart.getClientRects().length > 0);
  const axes = new Map(charts.map((chart) => {
    const [x0, x1, left, right] = chart.dataset.x.split(' ').map(Number);
    const [y0, y1, bottom, top] = chart.dataset.y.split(' ').map(Number);
    const log = chart.dataset.log === 'true';
    const f = (v) => log ? Math.log(Math.max(v, x0)) : v;
    return [chart, {
      x: (v) => left + (f(v) - f(x0)) / (f(x1) - f(x0)) * (right - left),
      y: (v) => bottom + (v - y0) / (y1 - y0) * (top - bottom),
      inside: ([cost, quality]) => cost >= x0 * 0.999 && cost <= x1 * 1.001 && quality >= y0 && quality <= y1,
      left, right, top, bottom,
    }];
  }));
  const pointsIn = (chart, router) => data.routers[router].points.filter(axes.get(chart).inside).sort((a, b) => a[0] - b[0]);

  const describe = (router, [cost, quality, setting]) => {
    const r = data.routers[router];
    const what = typeof setting === 'string' ? setting : r.points.length > 1 ? 'setting: ' + willing(r, setting) + (r.quality && setting !== null ? ' per unit of quality' : '') : '';
    return [r.name, amount(cost) + ' per 1,000 queries', 'quality ' + quality.toFixed(4), what].filter((s) => s);
  };

  const clear = () => {
    chosen = null;
    readout.hidden = true;
    for (const node of stage.querySelectorAll('.cursor')) node.remove();
    for (const node of stage.querySelectorAll('.hot')) node.classList.remove('hot');
  };

  const heat = (chart, router) => {
    for (const node of stage.querySelectorAll('.hot')) node.classList.remove('hot');
    if (router !== null) for (const node of chart.querySelectorAll('[data-r="' + router + '"]')) node.classList.add('hot');
  };

  const show = (chart, router, at, speak) => {
    const points = pointsIn(chart, router);
    if (points.length === 0) return;
    at = Math.max(0, Math.min(points.length - 1, at));
    chosen = { router, at };
    const point = points[at];
    const axis = axes.get(chart);
    const [x, y] = [axis.x(point[0]), axis.y(point[1])];
    for (const node of stage.querySelectorAll('.cursor')) node.remove();
    const cursor = create('g', { class: 'cursor' }, chart);
    create('line', { x1: x, x2: x, y1: axis.top, y2: axis.bottom }, cursor);
    create('line', { x1: axis.left, x2: axis.right, y1: y, y2: y }, cursor);
    create('circle', { cx: x, cy: y, r: 6 }, cursor);
    heat(chart, router);
    const lines = describe(router, point);
    readout.replaceChildren(...lines.map((text, k) => {
      const node = document.createElement(k === 0 ? 'strong' : 'span');
      node.textContent = text;
      return node;
    }));
    readout.hidden = false;
    const box = chart.getBoundingClientRect();
    const outer = stage.getBoundingClientRect();
    const scale = box.width / chart.viewBox.baseVal.width;
    const px = x * scale + box.left - outer.left;
    const py = y * scale + box.top - outer.top;
    const left = px + 14 + readout.offsetWidth > outer.width ? px - 14 - readout.offsetWidth : px + 14;
    readout.style.left = Math.max(0, Math.min(left, outer.width - readout.offsetWidth)) + 'px';
    readout.style.top = Math.max(0, py - readout.offsetHeight - 12) + 'px';
    if (speak) live.textContent = lines.join(', ');
  };

  const point = (event) => {
    const chart = visible();
    if (!chart) return;
    const box = chart.getBoundingClientRect();
    const scale = chart.viewBox.baseVal.width / box.width;
    const [x, y] = [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
    const axis = axes.get(chart);
    let best = null;
    let least = 40 * 40;
    for (const router of order) {
      if (hidden.has(router)) continue;
      pointsIn(chart, router).forEach((p, at) => {
        const d = (axis.x(p[0]) - x) ** 2 + (axis.y(p[1]) - y) ** 2;
        if (d < least) [best, least] = [{ router, at }, d];
      });
    }
    if (best) show(chart, best.router, best.at, false);
    else clear();
  };
  stage.addEventListener('pointermove', point);
  stage.addEventListener('pointerdown', point);
  stage.addEventListener('pointerleave', (event) => { if (event.pointerType !== 'touch' && document.activeElement !== stage) clear(); });

  stage.tabIndex = 0;
  stage.setAttribute('role', 'application');
  stage.setAttribute('aria-roledescription', 'chart');
  stage.setAttribute('aria-label', 'Curves of quality against cost');
  stage.setAttribute('aria-describedby', 'stage-help');
  stage.addEventListener('focus', () => { if (!chosen && stage.matches(':focus-visible')) step(0, 0); });
  stage.addEventListener('blur', clear);

  // step moves along a curve, or to the point of another router at the nearest cost.
  const step = (along, routers) => {
    const chart = visible();
    const shown = order.filter((r) => !hidden.has(r) && pointsIn(chart, r).length > 0);
    if (shown.length === 0) return;
    if (!chosen || !shown.includes(chosen.router)) return show(chart, shown[0], Math.floor(pointsIn(chart, shown[0]).length / 2), true);
    if (routers === 0) return show(chart, chosen.router, chosen.at + along, true);
    const cost = pointsIn(chart, chosen.router)[chosen.at][0];
    const next = shown[(shown.indexOf(chosen.router) + routers + shown.length) % shown.length];
    const points = pointsIn(chart, next);
    let at = 0;
    points.forEach((p, k) => { if (Math.abs(p[0] - cost) < Math.abs(points[at][0] - cost)) at = k; });
    show(chart, next, at, true);
  };
  const keys = {
    ArrowRight: () => step(1, 0), ArrowLeft: () => step(-1, 0), PageUp: () => step(10, 0), PageDown: () => step(-10, 0),
    ArrowDown: () => step(0, 1), ArrowUp: () => step(0, -1), Home: () => step(-1e6, 0), End: () => step(1e6, 0), Escape: clear,
  };
  stage.addEventListener('keydown', (event) => {
    if (!keys[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    keys[event.key]();
  });
  for (const radio of document.querySelectorAll('.switches input')) radio.addEventListener('change', clear);
  let width = innerWidth;
  addEventListener('resize', () => { if (width !== innerWidth) clear(); width = innerWidth; });

  // The legend shows and hides routers.
  const boxes = [...document.querySelectorAll('.legend input')];
  const apply = () => {
    hidden.clear();
    for (const box of boxes) {
      if (!box.checked) hidden.add(Number(box.dataset.r));
      for (const node of stage.querySelectorAll('[data-r="' + box.dataset.r + '"]')) node.classList.toggle('off', !box.checked);
    }
    clear();
  };
  for (const box of boxes) {
    box.addEventListener('change', apply);
    const item = box.closest('li');
    const on = () => { const chart = visible(); if (chart) heat(chart, box.dataset.r); };
    item.addEventListener('pointerenter', on);
    item.addEventListener('focusin', on);
    item.addEventListener('pointerleave', clear);
    item.addEventListener('focusout', clear);
  }
  for (const button of document.querySelectorAll('.legend button')) {
    button.addEventListener('click', () => {
      for (const box of boxes) box.checked = button.dataset.show === 'all' || 'named' in box.dataset;
      apply();
    });
  }

  // The slider: recorded settings of one router, the cheapest first.
  const slider = byID('pay-slider');
  if (!slider) return;
  const select = byID('pay-router');
  const router = () => data.routers[Number(select.value)];
  const balanced = (r) => {
    let [at, best] = [-1, 0];
    r.steps.forEach(([, cost, quality], k) => {
      if (quality >= 0.97 * data.best.quality && (at < 0 || cost < r.steps[at][1])) at = k;
      if (quality > r.steps[best][2]) best = k;
    });
    return at < 0 ? best : at;
  };
  const bars = (r, shares) => {
    byID('pay-bars').replaceChildren(...r.used.map((model, k) => {
      const item = document.createElement('li');
      const part = (name, text) => {
        const node = document.createElement('span');
        node.className = name;
        node.textContent = text;
        item.append(node);
        return node;
      };
      part('model', data.models[model]);
      const fill = document.createElement('span');
      fill.className = 'fill';
      fill.style.width = (100 * shares[k]).toFixed(1) + '%';
      part('track', '').append(fill);
      part('share', share(shares[k]));
      if (shares[k] < 0.005) item.classList.add('idle');
      return item;
    }));
  };
  const pins = charts.map((chart) => [chart, create('g', { class: 'pin' }, chart)]);
  const pin = (cost, quality) => {
    for (const [chart, node] of pins) {
      const axis = axes.get(chart);
      node.replaceChildren();
      if (!axis.inside([cost, quality])) continue;
      const [x, y] = [axis.x(cost), axis.y(quality)];
      create('circle', { cx: x, cy: y, r: 9 }, node);
      const left = x < (axis.left + axis.right) / 2;
      create('text', { x: x + (left ? 13 : -13), y: y - 11, 'text-anchor': left ? 'start' : 'end' }, node).textContent = 'your choice';
    }
  };
  const pay = () => {
    const r = router();
    const [w, cost, quality, shares] = r.steps[Number(slider.value)];
    byID('pay-what').textContent = r.quality ? 'One more right answer is worth' : 'Setting';
    byID('pay-worth').textContent = willing(r, w);
    byID('pay-kind').textContent = r.quality ? 'to you, with ' + r.name : 'of ' + r.name + ', which is not a price of quality';
    byID('pay-cost').textContent = amount(cost);
    byID('pay-quality').textContent = quality.toFixed(4);
    if (data.best.cost > 0) byID('pay-cost-share').textContent = share(cost / data.best.cost) + ' of ' + data.best.model;
    if (data.best.quality > 0) byID('pay-quality-share').textContent = (100 * quality / data.best.quality).toFixed(1) + '% of ' + data.best.model;
    bars(r, shares);
    pin(cost, quality);
    slider.setAttribute('aria-valuetext', willing(r, w) + ': ' + amount(cost) + ' per 1,000 queries, quality ' + quality.toFixed(3));
  };
  slider.addEventListener('input', pay);
  select.addEventListener('change', () => {
    slider.max = router().steps.length - 1;
    slider.value = balanced(router());
    pay();
  });
  pay();
})();

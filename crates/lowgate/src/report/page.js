'use strict';
// Moves the time: everything else of the page stands in its markup.
const { end_us: END, names, places, words, events } = JSON.parse(document.getElementById('data').textContent);
const said = Object.fromEntries(words);
const LOG_LINES = 4;

const by = (id) => document.getElementById(id);
const slider = by('time');
const play = by('play');
const marks = names.map((_, device) => by('mark' + device));
const lines = names.map((_, device) => by('parent' + device));
const chips = names.map((_, device) => by('row' + device).querySelector('.state'));
let chosen = null;
let parents = [];

const clock = (us) => (us / 1e6).toFixed(2) + ' s';

// How everything stood at a time: the events up to then, from the beginning.
function stand(now) {
  const states = names.map(() => 'off');
  const up = names.map(() => null);
  const told = [];
  for (const event of events) {
    if (event.at_us > now) break;
    const { device, change, note } = event;
    if (device >= names.length) continue;
    if (change.state !== undefined) states[device] = change.state;
    if (change.parent !== undefined) up[device] = change.parent;
    if (note) told.push(event);
  }
  return { states, up, told };
}

function draw() {
  const now = Number(slider.value);
  const { states, up, told } = stand(now);
  parents = up;
  by('clock').textContent = clock(now);
  slider.setAttribute('aria-valuetext', clock(now));
  names.forEach((_, device) => {
    marks[device]?.setAttribute('data-state', states[device]);
    chips[device].setAttribute('data-state', states[device]);
    chips[device].textContent = said[states[device]];
    const line = lines[device];
    if (!line) return;
    const parent = places[up[device]];
    line.setAttribute('visibility', parent ? 'visible' : 'hidden');
    if (!parent) return;
    line.setAttribute('x2', parent[1]);
    line.setAttribute('y2', parent[2]);
    line.classList.toggle('away', parent[0] !== places[device][0]);
  });
  by('log').replaceChildren(...told.slice(-LOG_LINES).reverse().map(({ at_us, device, note }) => {
    const item = document.createElement('li');
    const time = document.createElement('time');
    const what = document.createElement('span');
    time.textContent = clock(at_us);
    what.textContent = names[device] + ' ' + note;
    item.append(time, what);
    return item;
  }));
  way();
}

// The chosen device's way to the border router.
function way() {
  document.querySelectorAll('.way').forEach((line) => line.classList.remove('way'));
  if (chosen === null) return;
  const stations = [];
  for (let at = chosen; at !== null && at !== undefined && !stations.includes(at); at = parents[at]) {
    stations.push(at);
    if (parents[at] !== null) lines[at]?.classList.add('way');
  }
  by('path').textContent = stations.length > 1
    ? stations.map((device) => names[device]).join(' → ')
    : names[chosen] + ' sends to nobody above it.';
}

function choose(device) {
  chosen = device === chosen ? null : device;
  names.forEach((_, other) => {
    const on = other === chosen;
    marks[other]?.classList.toggle('chosen', on);
    by('row' + other).classList.toggle('chosen', on);
    by('row' + other).querySelector('button').setAttribute('aria-pressed', on);
  });
  if (chosen === null) by('path').textContent = 'Choose a device to see its way to the border router.';
  way();
}

let last = null;
function frame(time) {
  if (last === null) return;
  const passed = (time - last) * 1e3 * Number(by('speed').value);
  last = time;
  slider.value = Math.min(END, Number(slider.value) + passed);
  draw();
  if (Number(slider.value) >= END) stop();
  else requestAnimationFrame(frame);
}

function start() {
  if (Number(slider.value) >= END) slider.value = 0;
  last = performance.now();
  play.textContent = '❚❚ Pause';
  play.setAttribute('aria-pressed', 'true');
  requestAnimationFrame(frame);
}

function stop() {
  last = null;
  play.textContent = '▶ Play';
  play.setAttribute('aria-pressed', 'false');
}

play.addEventListener('click', () => (last === null ? start() : stop()));
slider.addEventListener('input', () => { stop(); draw(); });
by('radio').addEventListener('change', (event) => document.body.classList.toggle('radio', event.target.checked));
document.addEventListener('click', (event) => {
  const device = event.target.closest('[data-device]')?.dataset.device;
  if (device !== undefined) choose(Number(device));
});
// The space bar plays, unless it already means something where the focus is.
document.addEventListener('keydown', (event) => {
  if (event.key !== ' ' || event.target.closest('button, select, input')) return;
  event.preventDefault();
  play.click();
});
draw();

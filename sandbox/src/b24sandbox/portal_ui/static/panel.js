// The control panel. It holds no state of its own: what is on is asked of the control API after each click.
import { CallList, drawLanes } from './calls.js'
import { control } from './control.js'
import { people } from './people.js'
import { scenes } from './scenes.js'
import { MAIN, switchRow } from './switches.js'
import { eventRows, sentRows, serverRows, twiceWords } from './world.js'

const boot = JSON.parse(document.getElementById('standin').textContent)
const $ = (id) => document.getElementById(id)
const element = (tag, properties = {}, ...children) => {
  const made = Object.assign(document.createElement(tag), properties)
  made.append(...children)
  return made
}
control.connect(boot.control)

let here = boot.portal
let state = null
const described = () => boot.portals[here]

function say(text, bad = false) {
  $('news').textContent = text
  $('news').hidden = !text
  $('news').classList.toggle('bad', bad)
}

async function act(work, words) {
  try {
    await work()
    say(words)
  } catch (problem) { say(problem.message, true) }
  await refresh()
}

async function refresh() {
  try { state = await control.state() } catch (problem) { return say(`The stand-in does not answer: ${problem.message}`, true) }
  const portal = state.portals[here]
  boot.portals[here] = { ...described(), ...('url' in portal ? { url: portal.url } : {}) }
  $('open-portal').href = `${described().url}/`
  fill('people', people(portal, boot.app.scope, control, here, act))
  const byName = new Map(portal.switches.map((each) => [each.name, each]))
  const row = (each) => switchRow(each, (value) => act(() => control.switch(here, each.name, value), `${each.name.replaceAll('_', ' ')}: ${value === true ? 'on' : value === false ? 'off' : value || 'none'}`))
  fill('switches', [renameRow(), ...MAIN.filter((name) => byName.has(name)).map((name) => row(byName.get(name)))])
  fill('more-switches', portal.switches.filter((each) => !MAIN.includes(each.name)).map(row))
  fill('server', serverRows(state.world, control, act))
  fill('events', eventRows(state.event_queue, control, act))
  traps(state.faults)
  kinds(state.fault_kinds)
}

// New rows in a box: what was open stays open, the focus stays where it was, and nobody is disturbed while typing.
function fill(id, rows) {
  const box = $(id)
  const active = box.contains(document.activeElement) ? document.activeElement : null
  if (active?.matches('input:not([type="checkbox"])') && active.value !== active.defaultValue) return
  const open = [...box.querySelectorAll('details')].map((each) => each.open)
  const place = active && [...box.querySelectorAll('button, input, select, summary')].indexOf(active)
  box.replaceChildren(...rows)
  box.querySelectorAll('details').forEach((each, n) => { each.open = open[n] ?? false })
  if (active) box.querySelectorAll('button, input, select, summary')[place]?.focus()
}

function renameRow() {
  return element('div', { className: 'row' },
    element('div', {}, element('b', { textContent: described().url.replace(/^https?:\/\//, '') }), element('p', { textContent: 'Rename: the portal gets a new address, the old one answers 302. Real ones keep the old name for a while, then it may be somebody else’s.' })),
    element('button', { type: 'button', className: 'outlined', textContent: 'Rename', onclick: () => act(() => control.rename(here), 'The portal has a new address.') }))
}

// --- Scenes, time, faults -----------------------------------------------------------------------------------------------
function where() {
  const users = Object.fromEntries(described().users.map((user) => [user.role, user]))
  return { portal: here, users, sites: described().sites }
}
$('scenes').append(...scenes.map((scene) => element('article', { className: 'scene' },
  element('h3', { textContent: scene.title }), element('p', { textContent: scene.words }),
  element('button', { type: 'button', className: 'solid', textContent: 'Play', ariaLabel: `Play: ${scene.title}`, onclick: () => act(() => scene.play(control, where()), scene.said) }))))

const moments = [
  ['An hour later', () => control.advance(3600), 'An hour has passed: every access token has expired by itself.'],
  ['180 days later', () => control.advance(180 * 86400), 'Half a year has passed: refresh tokens are dead too, people must open the app again.'],
  ['100 more pages', () => control.pages(here, 100), 'The first site has 100 more published pages.'],
]
$('time').append(...moments.map(([text, work, words]) => element('button', { type: 'button', className: 'outlined', textContent: text, onclick: () => act(work, words) })))

function kinds(known) {
  if ($('fault-kind').options.length || !known) return
  $('fault-kind').append(...Object.keys(known).map((name) => element('option', { value: name, textContent: name.replaceAll('_', ' ') })))
  const explain = () => {
    const kind = $('fault-kind').value
    $('fault-words').textContent = known[kind]
    document.querySelector('.only-error').hidden = kind !== 'error'
    document.querySelector('.only-seconds').hidden = !['latency', 'drip', 'hang'].includes(kind)
  }
  $('fault-kind').addEventListener('change', explain)
  explain()
}
$('fault').addEventListener('submit', (event) => {
  event.preventDefault()
  const { portal, times, skip, seconds, ...rest } = Object.fromEntries(new FormData(event.target))
  const fault = { ...rest, portal: portal === 'oauth' ? 'oauth' : here, times: Number(times), skip: Number(skip), seconds: Number(seconds) }
  act(() => control.fault(fault), 'The trap is set.')
})
function traps(faults) {
  const place = (fault) => (fault.where === 'oauth' ? 'the authorization server' : boot.portals[fault.where]?.title ?? 'everywhere')
  $('traps').replaceChildren(...faults.map((fault) => element('li', {},
    element('span', { textContent: `${fault.kind.replaceAll('_', ' ')}${fault.kind === 'error' ? ` ${fault.code}` : ''} on ${fault.method} at ${place(fault)}, ${fault.times < 0 ? 'until removed' : `${fault.times} more`}${fault.skip ? `, after ${fault.skip}` : ''}` }),
    element('button', { type: 'button', className: 'outlined', textContent: 'Remove', onclick: () => act(() => control.removeFaults(fault.id), 'The trap is gone.') }))))
}

// --- Calls -----------------------------------------------------------------------------------------------------------------
const names = (call) => boot.portals[call.portal]?.users.find((user) => user.id === call.user)?.name ?? (call.user ? `user ${call.user}` : '')
const list = new CallList($('calls'), {
  who: (call) => [call.portal === 'oauth' ? 'authorization server' : '', names(call)].filter(Boolean).join(' · '),
  onchange(said) {
    if (!said) return say('The stand-in does not answer. Is it still running?', true)
    const calls = [...list.calls.values()]
    const newest = Math.max(0, ...calls.map((call) => call.end ?? call.start))
    const now = said.now ?? Math.max(newest, Date.now() / 1000)
    drawLanes($('lanes'), calls, now)
    $('count').textContent = `${list.rows.size} shown`
    $('most').textContent = Object.entries(said.most_at_once ?? {}).map(([portal, n]) => `${portal === 'oauth' ? 'authorization server' : boot.portals[portal]?.title ?? portal}: at most ${n} at once`).join(' · ')
    $('twice').textContent = twiceWords(said.changed_twice ?? [])
    $('unknown').textContent = unknownWords(calls)
    $('sent').replaceChildren(...sentRows(said.events ?? []))
    $('nothing').hidden = list.rows.size > 0
    if (said.calls.length) refreshSoon()
  },
})
function unknownWords(calls) {
  const names = [...new Set(calls.filter((call) => call.code === 'ERROR_METHOD_NOT_FOUND').map((call) => call.method))]
  return names.length ? `The stand-in does not have ${names.join(', ')}. Four lines add a method: see “Methods of your own” in its README, then start it with --methods FILE.` : ''
}
let soon
const refreshSoon = () => { clearTimeout(soon); soon = setTimeout(refresh, 400) }
const failed = (row) => row.classList.contains('failed')
function filter() {
  const text = $('filter').value.trim().toLowerCase()
  const refused = $('only-failed').checked
  list.filter((call) => (!refused || failed(list.rows.get(call.n) ?? document.body) || call.code !== null) && (!text || `${call.method} ${list.who(call)} ${call.code ?? ''}`.toLowerCase().includes(text)))
}
$('filter').addEventListener('input', filter)
$('only-failed').addEventListener('change', filter)
$('pause').addEventListener('click', () => {
  list.paused = !list.paused
  $('pause').setAttribute('aria-pressed', String(list.paused))
  $('pause').textContent = list.paused ? 'Go on' : 'Pause'
})
$('reset').addEventListener('click', () => act(async () => { await control.reset(); list.clear() }, 'Everything is as at the start. Reload the portal page to open the app afresh.'))
for (const radio of document.querySelectorAll('[name="portal"]')) {
  if (radio.type === 'radio') radio.addEventListener('change', () => { here = Number(radio.value); say(''); refresh() })
}

refresh()
list.start()

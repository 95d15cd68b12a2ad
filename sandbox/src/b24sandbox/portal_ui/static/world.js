// What holds for all portals: how tokens are renewed, and how events travel. Rows of the panel, like those of a portal's switches.
import { switchRow } from './switches.js'

const element = (tag, properties = {}, ...children) => {
  const made = Object.assign(document.createElement(tag), properties)
  made.append(...children)
  return made
}
const SERVER = [
  { name: 'rotation', title: 'A refresh token works', default: 'strict', choices: ['strict', 'grace', 'none'], words: 'Strict: once. Grace: a used one works a minute longer. None: again and again. Real servers are taken for strict.' },
  { name: 'kills_access', title: 'Renewing ends the access token', default: true, choices: [], words: 'Renewing also ends the access token of the used pair; a worker that still holds it is refused.' },
  { name: 'oauth_down', title: 'Authorization servers are down', default: false, choices: [], words: 'Both authorization servers answer 502. Tokens that are still good go on working; nobody can renew or prove one.' },
]
const QUEUE = [
  { name: 'delay', title: 'Seconds on the way', default: 0, choices: [], words: 'Seconds an event is under way. Real ones are queued and may come long after what they tell of.' },
  { name: 'lose', title: 'The next get lost', default: 0, choices: [], words: 'So many of the next events never arrive. Nothing is sent again, so a handler that was down never hears of them.' },
  { name: 'twice', title: 'The next come twice', default: 0, choices: [], words: 'So many of the next events come twice. A handler must not mind.' },
  { name: 'hold', title: 'Hold events back', default: false, choices: [], words: 'Events are kept back until you let them go, in their order or the last one first: no order is promised.' },
]
const spell = ({ title }, value) => `${title}: ${value === true ? 'on' : value === false ? 'off' : value}`

export function serverRows(world, control, act) {
  return SERVER.map((each) => switchRow({ ...each, value: world[each.name] }, (value) => act(() => control.world({ [each.name]: value }), spell(each, value))))
}

export function eventRows(queue, control, act) {
  const rows = QUEUE.map((each) => switchRow({ ...each, value: queue[each.name] }, (value) => act(() => control.eventQueue({ [each.name]: value }), spell(each, value))))
  if (queue.held) {
    const free = (text, backwards) => element('button', { type: 'button', className: 'outlined', textContent: text, onclick: () => act(() => control.release(backwards), 'The events are under way.') })
    rows.push(element('div', { className: 'row changed' },
      element('div', {}, element('b', { textContent: `${queue.held} held back` }), element('p', { textContent: 'Kept back on purpose; the app knows nothing of them yet.' })),
      element('div', { className: 'row-acts' }, free('Let go', false), free('Last one first', true))))
  }
  return rows
}

// The last events that were sent, newest first, with what the app's handler answered.
export function sentRows(sent) {
  return sent.slice(-5).reverse().map((each) => element('li', { className: each.problem || each.status >= 400 ? 'bad' : '' },
    element('span', { className: 'method', textContent: each.event }),
    element('span', { className: 'status', textContent: each.problem ?? each.status ?? 'under way' }),
    element('span', { className: 'who', textContent: each.handler })))
}

// What was done to a page that was so already: the same order carried out twice, whosever fault it was.
export function twiceWords(changes) {
  const named = changes.slice(0, 3).map((each) => `page ${each.lid}: ${each.action} ${each.times === 1 ? 'once' : `${each.times} times`} more than needed`)
  return [...named, ...(changes.length > 3 ? [`and ${changes.length - 3} pages more`] : [])].join(', ')
}

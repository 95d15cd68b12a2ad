// The live list of what an app asked: read from the control API's truth, newest first.
import { control } from './control.js'

const EVERY = 1000
const KEPT = 400
const SPAN = 60

const element = (tag, properties = {}, ...children) => {
  const made = Object.assign(document.createElement(tag), properties)
  made.append(...children)
  return made
}
const failed = (call) => call.code !== null || (call.status !== null && call.status >= 400)
const length = (call) => (call.end === null ? null : call.end - call.start)

export function spell(seconds) {
  if (seconds === null) return '…'
  return seconds < 1 ? `${Math.max(1, Math.round(seconds * 1000))} ms` : `${seconds.toFixed(1)} s`
}

// Tokens are shortened: what is shown on a screen ends up in pictures of it.
function pretty(text) {
  const shown = text.replace(/\b[0-9a-f]{40,}\b/g, (token) => `${token.slice(0, 6)}…`)
  try { return JSON.stringify(JSON.parse(shown), null, 2) } catch { return shown }
}

// A command's query as a person reads it.
function readable(query) {
  try { return decodeURIComponent(query.replaceAll('+', ' ')) } catch { return query }
}

// root: an <ol>; who(call): the person's name; wanted(call): whether it is shown
export class CallList {
  constructor(root, { who, wanted = () => true, most = KEPT, onchange = () => {} }) {
    Object.assign(this, { root, who, wanted, most, onchange, calls: new Map(), rows: new Map(), next: 0, paused: false })
  }

  start() {
    const again = async () => {
      if (!this.paused && !document.hidden && this.root.isConnected) await this.look()
      this.timer = setTimeout(again, EVERY)
    }
    again()
  }

  // Calls under way are asked for again until they have ended.
  async look() {
    let said
    try { said = await control.truth(this.next, this.most) } catch { return this.onchange(null) }
    for (const call of said.calls) this.take(call)
    if (said.next < this.last) this.clear() // the stand-in was reset
    this.last = said.next
    const open = said.calls.filter((call) => call.end === null).map((call) => call.n)
    this.next = open.length ? Math.min(...open) - 1 : Math.max(this.next, said.next)
    this.trim()
    this.onchange(said)
  }

  take(call) {
    const known = this.calls.get(call.n)
    if (known && known.end !== null) return
    this.calls.set(call.n, call)
    if (call.batch !== null && this.rows.has(call.batch)) return void this.draw(this.calls.get(call.batch))
    if (call.batch === null) this.draw(call)
  }

  draw(call) {
    const inner = call.method === 'batch' ? [...this.calls.values()].filter((each) => each.batch === call.n) : []
    const row = element('li', { hidden: !this.wanted(call) }, this.summary(call, inner))
    row.dataset.n = call.n
    if (failed(call) || inner.some(failed)) row.classList.add('failed')
    const old = this.rows.get(call.n)
    if (old) {
      row.firstElementChild.open = old.firstElementChild.open
      old.replaceWith(row)
    } else this.root.prepend(row)
    this.rows.set(call.n, row)
  }

  summary(call, inner) {
    const time = new Date(call.start * 1000).toLocaleTimeString('en-GB')
    const line = element('summary', {},
      element('time', { textContent: time }),
      element('span', { className: 'method', textContent: call.method + (call.grant ? ` (${call.grant})` : '') }),
      element('span', { className: 'about' },
        element('span', { className: 'who', textContent: this.who(call) }),
        element('span', { className: 'more', textContent: this.more(call, inner) })),
      element('span', { className: `status ${call.end === null ? 'open' : failed(call) ? 'bad' : 'good'}`, textContent: call.code ?? call.status ?? 'under way' }),
      element('span', { className: 'length', textContent: spell(length(call)) }))
    const details = element('details', {}, line)
    details.addEventListener('toggle', () => { if (details.open && details.childElementCount === 1) details.append(this.body(call, inner)) }, { once: true })
    return details
  }

  more(call, inner) {
    const said = []
    if (call.at_once > 1) said.push(`${call.at_once} at once`)
    if (call.fault) said.push(`fault: ${call.fault}`)
    if (inner.length) {
      const bad = inner.filter(failed).length
      said.push(`${inner.length} command${inner.length > 1 ? 's' : ''}${bad ? `, ${bad} failed` : ''}`)
    }
    return said.join(' · ')
  }

  body(call, inner) {
    const body = element('div', { className: 'call-body' })
    if (inner.length) {
      body.append(element('ul', { className: 'commands' }, ...inner.map((each) => element('li', {},
        element('span', { className: 'method', textContent: each.method }),
        element('span', { className: 'who', textContent: readable(each.asked) }),
        element('span', { className: `status ${failed(each) ? 'bad' : 'good'}`, textContent: each.code ?? 'ok' })))))
    }
    body.append(
      element('h4', { textContent: `Asked (${call.verb}${call.auth ? `, token in ${call.auth}` : ''})` }), element('pre', { tabIndex: 0, textContent: pretty(call.asked) || 'nothing' }),
      element('h4', { textContent: `Answered (${call.status ?? 'not yet'})` }), element('pre', { tabIndex: 0, textContent: pretty(call.answered) || 'nothing' }))
    return body
  }

  filter(wanted) {
    this.wanted = wanted
    for (const [n, row] of this.rows) row.hidden = !wanted(this.calls.get(n))
  }

  trim() {
    const rows = [...this.rows.keys()].sort((a, b) => b - a).slice(this.most)
    for (const n of rows) { this.rows.get(n).remove(); this.rows.delete(n); this.calls.delete(n) }
  }

  clear() {
    this.calls.clear()
    this.rows.clear()
    this.next = 0
    this.root.replaceChildren()
  }
}

const SVG = 'http://www.w3.org/2000/svg'

// The last minute as bars in lanes: calls that overlap lie one below the other. Bars are in the stand-in's own time.
export function drawLanes(svg, calls, now, lanes = 6) {
  const ends = Array(lanes).fill(-Infinity)
  svg.replaceChildren()
  for (const call of calls) {
    if (call.batch !== null || (call.end ?? now) < now - SPAN) continue
    const lane = Math.max(0, ends.findIndex((end) => end <= call.start))
    ends[lane] = call.end ?? now
    const bar = document.createElementNS(SVG, 'rect')
    const x = 100 - ((now - call.start) / SPAN) * 100
    const values = { x, y: 2 + lane * 9, width: Math.max(0.25, (((call.end ?? now) - call.start) / SPAN) * 100), height: 7, rx: 0.2, class: failed(call) ? 'bad' : 'good' }
    for (const [name, value] of Object.entries(values)) bar.setAttribute(name, value)
    svg.append(bar)
  }
}

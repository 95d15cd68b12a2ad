// The portal's side of postMessage, as its own script does it (FACTS, 7.1): who is listened to, how a message is
// read, how it is answered. What each command does is handed to `listen` (commands.js).

const frames = new Map() // by sid
let commands = {}
const watchers = new Set()

// Everything that arrives from a frame, with what became of it: shown by the remote control.
export const watch = (fn) => watchers.add(fn)
const tell = (note) => watchers.forEach((fn) => fn(note))

// `command:json:callback:sid`; the JSON may hold colons, and may be left out together with its own colon.
export function read(data) {
  if (typeof data === 'string') {
    const parts = data.split(':')
    const text = parts.slice(1, -2).join(':')
    try {
      return { command: parts[0], params: text ? JSON.parse(text) : [], callback: parts.at(-2), sid: parts.at(-1) }
    } catch { return null }
  }
  if (data && typeof data === 'object') { // the form b24jssdk uses for command names with a colon
    return { command: String(data.method), params: data.params || [], callback: data.callback, sid: data.appSid }
  }
  return null
}

function receive({ origin, data }) {
  const message = read(data)
  if (!message) return
  const frame = frames.get(message.sid)
  if (!frame) return void tell({ ...message, fate: 'dropped: the sid is of no frame here' })
  if (origin !== frame.origin) return void tell({ ...message, fate: `dropped: came from ${origin}` })
  frame.heard = true
  if (!Object.hasOwn(commands, message.command)) return void tell({ ...message, fate: 'dropped: no such command' })
  const note = { ...message, fate: 'not answered' }
  commands[message.command](frame, message.params, (value) => {
    note.fate = message.callback ? 'answered' : 'done, no answer wanted'
    note.answer = value
    if (message.callback) frame.post(message.callback, value)
    tell({ ...note, later: true })
  })
  tell(note)
}

// From now on messages of frames are carried out: name → command(frame, params, answer).
export function listen(handlers) {
  commands = handlers
  addEventListener('message', receive)
}

export class AppFrame {
  // opening: what /_standin/frame said; place: the element it appears in; slider: the slider around it, if any
  constructor(opening, place, { slider = null, asked = {} } = {}) {
    Object.assign(this, { opening, place, slider, asked, sid: opening.sid, heard: false })
    this.origin = new URL(opening.url).origin
  }

  // A form with the iframe's name as its target: the four parameters are in its action, the rest are hidden fields (2.1).
  mount() {
    frames.set(this.sid, this)
    this.layout = document.createElement('div')
    this.layout.className = 'app-layout'
    this.iframe = document.createElement('iframe')
    this.iframe.name = this.opening.name
    this.iframe.title = document.getElementById('pagetitle')?.textContent || 'App'
    this.iframe.allow = 'clipboard-write; fullscreen'
    const loading = Object.assign(document.createElement('div'), { className: 'loading' })
    this.layout.append(this.iframe, loading)
    this.place.replaceChildren(this.layout)
    this.iframe.addEventListener('load', () => { loading.classList.add('gone'); setTimeout(() => this.suspectSilence(), 4000) })
    const form = Object.assign(document.createElement('form'), { method: 'post', action: this.opening.url, target: this.opening.name, hidden: true })
    for (const [name, value] of Object.entries(this.opening.form)) {
      form.append(Object.assign(document.createElement('input'), { type: 'hidden', name, value }))
    }
    document.body.append(form)
    form.submit()
    form.remove()
    return this
  }

  // Text only, to the app's origin only.
  post(callback, value) {
    this.iframe.contentWindow?.postMessage(`${callback}:${value === undefined ? '' : JSON.stringify(value)}`, this.origin)
  }

  // What needs the portal's memory is asked of its server: {reply} or {silent}.
  async ask(command, params) {
    const body = JSON.stringify({ sid: this.sid, user: this.asked.user, command, params })
    try {
      const answer = await fetch('/_standin/command', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body })
      return answer.ok ? await answer.json() : { silent: true }
    } catch { return { silent: true } } // the stand-in was stopped, or the page is being left
  }

  destroy() {
    frames.delete(this.sid)
    this.layout?.remove()
  }

  // An app that never says a word may not be running at all: a browser shows its own error page then, and no script can
  // see that. One probe tells the two apart.
  async suspectSilence() {
    if (this.heard || this.probed || !this.layout.isConnected) return
    this.probed = true
    try { await fetch(this.opening.url, { method: 'HEAD', mode: 'no-cors' }) } catch {
      this.place.replaceChildren(notice('The app does not answer', `No answer at ${this.origin}. Start yours there and reload this page, or start the stand-in with --app-url and the address where it is.`))
      frames.delete(this.sid)
    }
  }
}

const REFUSALS = {
  not_installed: ['The app is not installed here', 'An administrator installs it from the Market.'],
  not_finished: ['The app is not installed to the end', 'Until its installer has finished only an administrator can open it. Please ask your administrator.'],
}

// The frame of a person: asks the server for the post and shows the app, or the portal's own words in its place.
export async function openFrame(place, asked, { slider = null } = {}) {
  const { user, lang, app = 0, placement = 'DEFAULT', handler = '', options = {} } = asked
  const query = new URLSearchParams({ user, lang, app, placement, handler, options: typeof options === 'string' ? options : JSON.stringify(options) })
  if (!query.get('options') || query.get('options') === '{}') query.delete('options')
  const answer = await fetch(`/_standin/frame?${query}`).catch(() => null)
  const opening = await answer?.json().catch(() => ({})) ?? { detail: 'The stand-in portal does not answer. Is it still running?' }
  if (!opening.url) {
    place.replaceChildren(notice(...(REFUSALS[opening.error] ?? ['The app cannot be opened', opening.detail || 'The portal did not say why.'])))
    return null
  }
  return new AppFrame(opening, place, { slider, asked }).mount()
}

export function notice(title, text) {
  const card = Object.assign(document.createElement('section'), { className: 'card empty' })
  card.append(Object.assign(document.createElement('h2'), { textContent: title }), Object.assign(document.createElement('p'), { textContent: text }))
  return card
}

// The bell: what apps have told this person (FACTS, 12). A message is shown as a messenger shows it: a few codes, moments
// in the reader's own zone, links; the portal's own links into an app open it in a slider, others in a new tab.
import { openFrame } from './frame.js'
import { openSlider } from './slider.js'

const LOOK_AGAIN = 3000
const PATH = '/_standin/notices'
const CODE = new RegExp(
  [
    /\[url=([^\]]+)\]([\s\S]*?)\[\/url\]/, // 1, 2
    /\[timestamp=(\d+)\s+format=([_a-z]+)\]/, // 3, 4
    /\[(b|i|u|s)\]([\s\S]*?)\[\/\5\]/, // 5, 6
    /(https?:\/\/[^\s[\]<>"]+)/, // 7
  ].map((each) => each.source).join('|'),
  'gi',
)
const FORMATS = {
  SHORT_TIME_FORMAT: { hour: '2-digit', minute: '2-digit' },
  LONG_TIME_FORMAT: { hour: '2-digit', minute: '2-digit', second: '2-digit' },
  DAY_MONTH_FORMAT: { day: 'numeric', month: 'long' },
  DAY_SHORT_MONTH_FORMAT: { day: 'numeric', month: 'short' },
  SHORT_DATE_FORMAT: { day: '2-digit', month: '2-digit', year: 'numeric' },
  MEDIUM_DATE_FORMAT: { day: 'numeric', month: 'short', year: 'numeric' },
  LONG_DATE_FORMAT: { day: 'numeric', month: 'long', year: 'numeric' },
  FULL_DATE_FORMAT: { weekday: 'long', day: 'numeric', month: 'long', year: 'numeric' },
  FORMAT_DATE: { dateStyle: 'short' },
  FORMAT_DATETIME: { dateStyle: 'short', timeStyle: 'medium' },
}
const ALLOWED = /^(\/|https?:|mailto:)/i
const made = (tag, more) => Object.assign(document.createElement(tag), more)

function link(href, inside) {
  if (!ALLOWED.test(href)) return inside
  const shown = made('a', { href })
  if (!href.startsWith('/')) Object.assign(shown, { target: '_blank', rel: 'noopener noreferrer' })
  shown.append(...inside)
  return [shown]
}

// A message as nodes; a code that is not known, or a format that is none, stays as it was typed.
export function nodes(text) {
  const out = []
  let from = 0
  for (const found of text.matchAll(CODE)) {
    const [whole, href, words, seconds, format, style, styled, plain] = found
    out.push(text.slice(from, found.index))
    from = found.index + whole.length
    const shape = FORMATS[format?.toUpperCase()]
    if (href) out.push(...link(href, nodes(words)))
    else if (plain) out.push(...link(plain, [plain]))
    else if (style) { const part = made(style); part.append(...nodes(styled)); out.push(part) }
    else out.push(shape ? new Intl.DateTimeFormat(document.documentElement.lang || 'en', shape).format(new Date(seconds * 1000)) : whole)
  }
  return [...out, text.slice(from)].filter((each) => each !== '')
}

function row({ title, message, at, read }) {
  const item = made('li', { className: read ? 'bell-notice' : 'bell-notice unread' })
  const body = made('p')
  body.append(...nodes(message))
  if (title) item.append(made('b', { textContent: title }))
  item.append(body, made('time', { dateTime: new Date(at * 1000).toISOString(), textContent: new Date(at * 1000).toLocaleString(document.documentElement.lang || 'en') }))
  return item
}

// boot: of the page; only where the page has a bell.
export function openBell(boot) {
  const [button, count, list] = ['#bell-button', '#bell-count', '#bell-list'].map((each) => document.querySelector(each))
  if (!button) return
  const post = (body) => fetch(PATH, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) })
  let shown = ''

  async function look() {
    const answer = await fetch(`${PATH}?${new URLSearchParams({ user: boot.user })}`).catch(() => null) // it was stopped
    if (!answer?.ok) return
    const { unread, notices } = await answer.json()
    count.textContent = unread || ''
    count.hidden = !unread
    button.setAttribute('aria-label', unread ? `${button.title}: ${unread}` : button.title)
    const now = JSON.stringify(notices)
    if (now === shown) return
    shown = now
    const rows = notices.length ? notices.map(row) : [made('li', { className: 'dim', textContent: 'Nothing yet' })]
    list.replaceChildren(...rows)
  }

  async function follow(event) {
    const target = event.target.closest?.('a[href^="/"]')
    if (!target) return
    const answer = await (event.preventDefault(), post({ link: target.getAttribute('href') }))
    if (!answer.ok) return window.open(target.href, '_blank', 'noopener')
    const { app, placement, options } = await answer.json()
    fold(true)
    const slider = openSlider({ title: boot.app.title, kind: 'application' })
    const about = { ...options, IFRAME: 'Y', IFRAME_TYPE: 'SIDE_SLIDER' }
    const frame = await openFrame(slider.body, { user: boot.user, lang: boot.lang, app, placement, options: about }, { slider })
    slider.onclose = () => frame?.destroy()
  }

  function fold(away) {
    list.hidden = away
    button.setAttribute('aria-expanded', String(!away))
  }

  button.addEventListener('click', async () => {
    fold(!list.hidden)
    await look()
    if (!list.hidden) await post({ user: boot.user })
  })
  list.addEventListener('click', follow)
  document.addEventListener('keydown', ({ key }) => { if (key === 'Escape') fold(true) })
  setInterval(() => { if (!document.hidden) look() }, LOOK_AGAIN)
  look()
}

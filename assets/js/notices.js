// Banners: what went wrong, in words, where the person looks. An order in an open dialog stays as it is and gets its
// banner there, so that pressing the button again repeats it.
import htmx from 'htmx.org'
import { command } from './commands.js'
import { find, findAll } from './dom.js'
import { sendHealing } from './healing.js'
import { reopen } from './portal.js'

let failed = null // the request a banner's button repeats
let shown = null // what the current banner says, so that a poll does not say it each second

const isPoll = (ctx) => ctx.sourceEvent?.type === 'poll'
const place = () => find('#dialog[open] [data-notices]') ?? find('#notices')

function withoutNumber(text) {
  return text.replace(/<[^>]*data-request[\s\S]*?<\/[^>]*>/, '')
}

function keep(ctx) {
  failed = ctx
  const view = find('#view')
  view.removeAttribute('aria-busy')
  if (find('[data-loading]', view)) view.replaceChildren(find('#tpl-nothing').content.cloneNode(true))
}

function show(name, ctx) {
  const where = place()
  const quiet = isPoll(ctx) && shown === name
  keep(ctx)
  if (quiet) return
  shown = name
  where.prepend(find(name).content.cloneNode(true))
  tidy(where)
  if (!isPoll(ctx)) find('.banner button', where)?.focus()
}

// Nothing came back: a question can be asked again, but of an order nobody knows whether it arrived.
function offline(source, ctx = { sourceElement: source, sourceEvent: { type: 'click' }, request: { method: 'GET' } }) {
  const isOrder = ctx.request.method !== 'GET' && ctx.request.action !== '/runs/preview'
  show(isOrder ? '#tpl-unsure' : '#tpl-offline', ctx)
}

// A request that is not a swap: the answer, or null when it was refused or lost and the banner says so.
export async function ask(url, accept, button) {
  button.disabled = true
  const answer = await sendHealing(url, { headers: { Accept: accept, 'HX-Request': 'true' } })
  button.disabled = false
  if (answer.ok) return clear() ?? answer
  if (answer.headers.has('HX-Retarget')) refused(await answer.text(), button)
  else offline(button)
  return null
}

function refused(banner, source) {
  keep({ sourceElement: source, sourceEvent: { type: 'click' } })
  place().insertAdjacentHTML('afterbegin', banner)
  tidy(place())
  find('.banner button', place())?.focus()
}

function clear() {
  findAll('[data-problem]').forEach((banner) => banner.remove())
  failed = shown = null
}

// What is said now stands first; a lasting notice of the same problem need not say it again.
function tidy(where) {
  const [first, ...others] = findAll('.banner', where)
  others.filter((banner) => 'problem' in banner.dataset || banner.dataset.code === first.dataset.code).forEach((banner) => banner.remove())
}

document.addEventListener('htmx:after:request', (event) => {
  const { ctx } = event.detail
  if (ctx.response.status < 400) return clear()
  if (!ctx.hx?.retarget) {
    event.preventDefault() // not an answer of the app: none at all, or a proxy's page
    return offline(ctx.sourceElement, ctx)
  }
  keep(ctx)
  const text = withoutNumber(ctx.text)
  if (isPoll(ctx) && text === shown) return event.preventDefault()
  shown = text
  ctx.hx.reswap = 'afterbegin'
  if (place().id !== 'notices') ctx.hx.retarget = '#dialog [data-notices]'
})

document.addEventListener('htmx:after:swap', ({ detail: { ctx } }) => {
  if (!(ctx.response?.status >= 400)) return
  tidy(place())
  if (!isPoll(ctx)) find('.banner button', place())?.focus()
})

function again() {
  const source = failed?.sourceElement
  if (!source?.isConnected) return htmx.trigger('#view', 'repeat')
  const type = failed.sourceEvent.type
  htmx.trigger(source, source.matches('form') ? 'submit' : type === 'load' ? 'repeat' : type)
}

const close = (button) => button.closest('.banner').remove()

for (const name of ['repeat', 'retry', 'check']) command(name, again)
for (const name of ['close', 'dismiss']) command(name, close)
command('reopen', (button) => {
  button.disabled = true
  reopen()
})

// Banners: what went wrong, in words, where the person looks. A banner stays until the action that failed succeeds or
// the person closes it; the answer to any other request leaves it alone. The same action or the same words replace
// what stands, everything else stands beside it. An order in an open dialog stays as it is and gets its banner there,
// so that pressing the button again repeats it.
import htmx from 'htmx.org'
import { command } from './commands.js'
import { find, findAll } from './dom.js'
import { reopen } from './portal.js'
import { sendWithRefresh } from './session-refresh.js'
import { isStale, isViewPending } from './stale-answers.js'

const TOO_LONG = [413, 414, 431]
const failures = new WeakMap() // banner → the actions that failed with its words, each with its request context
const announced = new Map() // action → words a poll was last answered with: they are not said again each second

const isPoll = (ctx) => ctx.sourceEvent?.type === 'poll'
const isForView = (ctx) => ctx.target?.id === 'view'
const placeOf = (ctx) => ctx.sourceElement.closest('#dialog[open]')?.querySelector('[data-notices]') ?? find('#notices')
const standing = () => findAll('[data-notices] > .banner')
const fromTemplate = (name) => find(name).content.cloneNode(true).firstElementChild
const asTemplate = (html) => Object.assign(document.createElement('template'), { innerHTML: html })
const fromAnswer = (html) => asTemplate(html).content.firstElementChild

// An order is the same as long as it comes from the same form; anything else is known by its method and address. How a
// list is filtered makes no difference, but Scheduled and History share an address and are two lists.
function actionOf({ sourceElement, request }) {
  if (request.headers?.['Idempotency-Key']) return sourceElement
  const { pathname, searchParams } = new URL(request.action, location.href)
  const list = searchParams.get('state')?.includes('scheduled') ? ' scheduled' : ''
  return `${request.method} ${pathname}${list}`
}

// What a banner says, without the number of the request, which is new each time.
function wordsOf(banner) {
  const copy = banner.cloneNode(true)
  findAll('[data-request]', copy).forEach((number) => number.remove())
  return copy.textContent.replace(/\s+/g, ' ').trim()
}

function makeClosable(banner) {
  if (find('[data-do=close], [data-do=dismiss]', banner)) return
  if (!find('.do', banner)) banner.append(Object.assign(document.createElement('div'), { className: 'do' }))
  find('.do', banner).append(fromTemplate('#tpl-close'))
}

// The same words, or the notice of the same problem that the page was opened with: the new banner stands for both.
function saysTheSame(other, banner) {
  return wordsOf(other) === wordsOf(banner) || (!failures.has(other) && other.dataset.code === banner.dataset.code)
}

// The actions of banners that become one. Of several views that could not be shown, only the last one is still wanted.
function actionsOf(banners, ctx) {
  const before = banners.flatMap((banner) => [...(failures.get(banner) ?? [])])
  return new Map([...before.filter(([, other]) => !isForView(ctx) || !isForView(other)), [actionOf(ctx), ctx]])
}

// The action's former failure is over: it succeeded, or it failed in another way.
function resolve(action) {
  for (const banner of standing()) {
    const actions = failures.get(banner)
    if (actions?.delete(action) && actions.size === 0) banner.remove()
  }
}

function showBanner(banner, ctx) {
  const [where, action, words] = [placeOf(ctx), actionOf(ctx), wordsOf(banner)]
  if (isForView(ctx)) viewFailed(banner, ctx)
  if (isPoll(ctx) && announced.get(action) === words) return
  if (isPoll(ctx)) announced.set(action, words)
  const same = findAll(':scope > .banner', where).filter((other) => saysTheSame(other, banner))
  failures.set(banner, actionsOf(same, ctx))
  same.forEach((other) => other.remove())
  resolve(action)
  makeClosable(banner)
  where.prepend(banner)
  if (!isPoll(ctx)) find('.do button', banner).focus()
}

// Where nothing is on the screen yet, the place itself says that it could not be loaded.
function viewFailed(banner, ctx) {
  if (isViewPending(ctx)) return
  const view = find('#view')
  view.removeAttribute('aria-busy')
  if (!find('[data-loading], [data-failed]', view)) return
  const instead = fromTemplate('#tpl-not-loaded')
  find('[data-why]', instead).textContent = find('h2', banner).textContent
  failures.set(instead, new Map([[actionOf(ctx), ctx]]))
  view.replaceChildren(instead)
}

function succeeded(ctx) {
  announced.delete(actionOf(ctx))
  resolve(actionOf(ctx))
}

// No answer of the app: none at all, or one of a server in front of it, which is told as what it is. A question can be
// asked again, but of an order that may have arrived nobody knows.
function noAnswer(ctx, { status, type }) {
  if (TOO_LONG.includes(status)) return fromTemplate('#tpl-too-long')
  const isOrder = ctx.request.method !== 'GET' && ctx.request.action !== '/runs/preview'
  if (isOrder) return fromTemplate('#tpl-unsure')
  return fromTemplate(type === 'default' ? '#tpl-offline' : '#tpl-in-between')
}

// A request that is not a swap: the answer, or null when it was refused or lost and the banner says so.
export async function ask(url, accept, button) {
  const ctx = { sourceElement: button, sourceEvent: { type: 'click' }, request: { method: 'GET', action: url } }
  button.disabled = true
  const answer = await sendWithRefresh(url, { headers: { Accept: accept, 'HX-Request': 'true' } })
  button.disabled = false
  if (answer.ok) return succeeded(ctx) ?? answer
  showBanner(answer.headers.has('HX-Retarget') ? fromAnswer(await answer.text()) : noAnswer(ctx, answer), ctx)
  return null
}

// The page shows its banners itself; htmx swaps nothing of an answer that is an error.
document.addEventListener('htmx:after:request', (event) => {
  const { ctx } = event.detail
  if (ctx.response.status < 400) return succeeded(ctx)
  event.preventDefault()
  if (ctx.request.method === 'GET' && isStale(ctx)) return
  showBanner(ctx.hx.retarget ? fromAnswer(ctx.text) : noAnswer(ctx, ctx.response.raw), ctx)
})

function repeat(ctx) {
  const { sourceElement: source, sourceEvent, request } = ctx
  const view = find('#view')
  if (source.isConnected && source !== view) {
    const type = sourceEvent.type === 'load' ? 'repeat' : sourceEvent.type
    return htmx.trigger(source, source.matches('form') ? 'submit' : type)
  }
  if (isForView(ctx) && request.method === 'GET') view.setAttribute('hx-get', request.action)
  htmx.trigger(view, 'repeat')
}

function again(button) {
  const actions = failures.get(button.closest('.banner, [data-failed]'))
  if (actions?.size) [...actions.values()].forEach(repeat)
  else htmx.trigger('#view', 'repeat')
}

function close(button) {
  const banner = button.closest('.banner')
  const where = banner.parentElement
  banner.remove()
  const next = find('.banner .do button', where) ?? find('#dialog[open] [data-focus]') ?? find('#view [data-heading]')
  next?.focus()
}

standing().forEach(makeClosable)
for (const name of ['repeat', 'retry', 'check']) command(name, again)
for (const name of ['close', 'dismiss']) command(name, close)
command('reopen', (button) => {
  button.disabled = true
  reopen()
})

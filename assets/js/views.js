// What has to happen after something new is on the screen: tabs, focus, the spoken line.
import htmx from 'htmx.org'
import { close, open } from './dialog.js'
import { find, findAll } from './dom.js'
import { propose } from './moments.js'
import { poll } from './polling.js'
import { look, watchRows } from './seen.js'
import { showSelection } from './selection.js'

let said = ''

// Progress is said at quarters and at the end: the view carries the sentence, the live region outside of it says it
// when it changes.
function say() {
  const now = find('[data-announce]')?.dataset.announce ?? ''
  if (now && now !== said) find('#live').textContent = now
  said = now
}

function markTab() {
  const tab = find('#view > [data-tab]')?.dataset.tab
  findAll('#tabs a').forEach((link) => (link.dataset.for === tab ? link.setAttribute('aria-current', 'page') : link.removeAttribute('aria-current')))
}

function settle(ctx) {
  if (ctx.target?.id === 'dialog') return open(ctx.sourceElement)
  if (ctx.target?.id !== 'view') return
  ctx.target.removeAttribute('aria-busy')
  if (find('#dialog').contains(ctx.sourceElement)) close()
  if (ctx.request.method === 'POST' && find('#news section')) htmx.trigger('#news', 'repeat')
  const next = ctx.sourceEvent?.target?.closest?.('[data-then]')?.dataset.then // htmx forgets a source that was swapped away
  if (next) return find(next)?.focus()
  const isOpening = ctx.sourceEvent?.type === 'load'
  if (ctx.request.method === 'POST' || (document.activeElement === document.body && !isOpening)) find('#view [data-heading]')?.focus()
}

export function refresh() {
  propose(find('#view'))
  showSelection()
  markTab()
  say()
  look()
  watchRows()
  poll()
}

document.addEventListener('htmx:after:swap', ({ detail: { ctx } }) => {
  settle(ctx)
  refresh()
})

// Runs after each swap: tabs, focus, and the line for screen readers.
import htmx from 'htmx.org'
import { close, contains, open } from './dialog.js'
import { find, findAll } from './dom.js'
import { showSelection } from './selection.js'
import { placeLeft } from './steps.js'
import { observeRows, updateVisibleArea } from './visible-area.js'

let announced = ''

// Progress is announced at quarters and at the end: the view carries the sentence, and the live region outside of it
// repeats each new one.
function announce() {
  const now = find('[data-announce]')?.dataset.announce ?? ''
  if (now && now !== announced) find('#live').textContent = now
  announced = now
}

function markTab() {
  const tab = find('#view > [data-tab]')?.dataset.tab
  for (const link of findAll('#tabs a')) {
    if (link.dataset.for === tab) link.setAttribute('aria-current', 'page')
    else link.removeAttribute('aria-current')
  }
}

// The next screen of a list is read from its beginning.
function beginAtTheTop(place) {
  place.tabIndex = -1
  place.focus({ preventScroll: true })
  place.scrollIntoView({ block: 'start' })
}

function finishSwap(ctx) {
  if (ctx.sourceElement.matches?.('.pager > button')) beginAtTheTop(find(ctx.sourceElement.getAttribute('hx-target')))
  if (ctx.target?.id === 'dialog') return open(ctx.sourceElement)
  if (ctx.target?.id !== 'view') return
  ctx.target.removeAttribute('aria-busy')
  if (contains(ctx.sourceElement)) close()
  if (ctx.request.method === 'POST' && find('#news section')) htmx.trigger('#news', 'repeat')
  const isOpening = ctx.sourceEvent?.type === 'load'
  const isFocusLost = document.activeElement === document.body && !isOpening
  const place = ctx.sourceEvent?.detail?.step ? placeLeft() : null
  if (ctx.request.method === 'POST' || isFocusLost) (place ?? find('#view [data-heading]'))?.focus()
}

export function refresh() {
  showSelection()
  markTab()
  announce()
  updateVisibleArea()
  observeRows()
}

document.addEventListener('htmx:after:swap', ({ detail: { ctx } }) => {
  finishSwap(ctx)
  refresh()
})

// Selected pages. The selection outlives searches, filters, screens and a visit to another view, until it is used or
// cleared; pages of another kind have one of their own, since an order is about one kind.
import { command } from './commands.js'
import { find, findAll } from './dom.js'
import { ask } from './notices.js'
import { withNumber } from './plural.js'

const MAX_PAGES = 5000 // in one order
const byKind = new Map() // kind → its selection: lid → true (published), false, or null where only the number is known
let selected = new Map() // of the kind that is shown
let lastBox = null

const boxes = () => findAll('#grid input[name=lids]:not(:disabled)')

function remember(box) {
  if (box.checked) selected.set(box.value, box.dataset.published === 'yes')
  else selected.delete(box.value)
}

function clear() {
  selected.clear()
  lastBox = null
}

// The kind of pages the list shows; without a list the last one.
function chooseKind() {
  const kind = find('#grid')?.dataset.search?.split('|')[0]
  if (!kind) return
  if (!byKind.has(kind)) byKind.set(kind, new Map())
  selected = byKind.get(kind)
}

function showHead(all) {
  const head = find('#select-all')
  if (!head) return
  const on = all.filter((box) => box.checked).length
  head.checked = on > 0 && on === all.length
  head.indeterminate = on > 0 && !head.checked
  head.disabled = all.length === 0
}

function showBar(all) {
  const bar = find('#bulk')
  if (!bar) return
  const count = find('#bulk-count')
  const states = [...selected.values()]
  const down = states.some((published) => published !== false)
  bar.hidden = selected.size === 0
  if (selected.size) count.textContent = withNumber(JSON.parse(count.dataset.samples), selected.size)
  findAll('[data-for=published]', bar).forEach((button) => (button.hidden = !down))
  const up = states.some((published) => published !== true)
  findAll('[data-for=unpublished]', bar).forEach((button) => (button.hidden = !up))
  find('[data-for=unpublished]', bar)?.classList.toggle('btn-primary', !down)
  const grid = find('#grid')
  const selectable = Math.min(MAX_PAGES, Number(grid?.dataset.total ?? 0))
  const button = find('#bulk-all')
  button.hidden = !(all.length && all.every((box) => box.checked) && selected.size < selectable)
  button.textContent = grid?.dataset.all ?? ''
}

export function showSelection() {
  chooseKind()
  const all = boxes()
  all.forEach((box) => {
    box.checked = selected.has(box.value)
    if (box.checked) remember(box) // it may have changed since
  })
  showHead(all)
  showBar(all)
}

// Shift extends the last click over the rows between, as in Bitrix24's own lists.
function extend(box) {
  const all = boxes()
  if (!all.includes(lastBox)) return
  const [from, to] = [all.indexOf(lastBox), all.indexOf(box)].sort((a, b) => a - b)
  all.slice(from, to + 1).forEach((between) => {
    between.checked = box.checked
    remember(between)
  })
}

document.addEventListener('click', (event) => {
  const box = event.target.closest?.('#grid input[name=lids]')
  if (!box) return
  if (event.shiftKey) extend(box)
  lastBox = box
})

document.addEventListener('change', (event) => {
  const { target } = event
  if (!target.closest('#grid')) return
  if (target.id === 'select-all') boxes().forEach((box) => remember(Object.assign(box, { checked: target.checked })))
  else if (target.name === 'lids') remember(target)
  showSelection()
})

document.addEventListener('htmx:config:request', ({ detail: { ctx } }) => {
  if (!ctx.sourceElement.hasAttribute('data-selection')) return
  ctx.request.body.delete('lids')
  selected.forEach((_, lid) => ctx.request.body.append('lids', lid))
})

// What was ordered is used; an order that was refused leaves the selection alone.
document.addEventListener('htmx:after:swap', ({ detail: { ctx } }) => {
  const { method, action, body } = ctx.request
  if (method === 'POST' && action === '/runs') body.getAll('lids').forEach((lid) => selected.delete(lid))
})

export function clearSelection() {
  clear()
  showSelection()
  find('#select-all')?.focus()
}

command('clear-selection', clearSelection)

command('select-matching', async (button) => {
  const query = new URLSearchParams(new FormData(find('#filters')))
  query.set('ids_only', '1')
  const answer = await ask(`/pages?${query}`, 'application/json', button)
  if (!answer) return
  const { lids } = await answer.json()
  const published = { published: true, unpublished: false }[query.get('status')] ?? null
  lids.slice(0, MAX_PAGES).map(String).forEach((lid) => selected.has(lid) || selected.set(lid, published))
  showSelection()
})

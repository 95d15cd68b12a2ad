// Selected pages. The selection outlives searches, filters, screens and a visit to another view, until it is used or
// cleared; pages of another kind have one of their own, since an order is about one kind.
import { command } from './commands.js'
import { find, findAll } from './dom.js'
import { withNumber } from './plural.js'

export const MAX_PAGES = 5000 // in one order
const byKind = new Map() // kind → its selection: lid → true (published), false, or null where only the number is known
let selected = new Map() // of the kind that is shown

export const boxes = () => findAll('#grid input[name=lids]:not(:disabled)')

export function remember(box) {
  if (box.checked) selected.set(box.value, box.dataset.published === 'yes')
  else selected.delete(box.value)
}

const clear = () => selected.clear()

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
  const publish = find('#publish')?.classList // the filled one where nothing can be unpublished
  publish?.toggle('btn-primary', !down)
  publish?.toggle('btn-line', down)
  const grid = find('#grid')
  const selectable = Math.min(MAX_PAGES, Number(grid?.dataset.total ?? 0))
  const button = find('#bulk-all')
  button.hidden = !(all.length && all.every((box) => box.checked) && selected.size < selectable)
  button.textContent = grid?.dataset.all ?? ''
}

// A list that comes with its own selection: the pages at pasted addresses.
function adopt(grid) {
  Object.entries(JSON.parse(grid.dataset.select)).forEach(([lid, published]) => selected.set(lid, published))
  delete grid.dataset.select
}

export function showSelection() {
  chooseKind()
  const grid = find('#grid')
  if (grid?.dataset.select) adopt(grid)
  const all = boxes()
  all.forEach((box) => {
    box.checked = selected.has(box.value)
    if (box.checked) remember(box) // it may have changed since
  })
  showHead(all)
  showBar(all)
}

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

// Pages that are chosen without being on the screen: lid → true (published), false, or null where nobody knows.
export function choose(pages) {
  pages.forEach(([lid, published]) => selected.has(lid) || selected.set(lid, published))
  showSelection()
}

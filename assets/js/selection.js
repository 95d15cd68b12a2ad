// Ticked pages. They outlive the screens of one search (Next, Previous); a new search, kind or view starts afresh.
import { command } from './commands.js'
import { find, findAll } from './dom.js'
import { ask } from './notices.js'
import { withNumber } from './plural.js'

const MOST = 5000 // pages an order may name
const chosen = new Map() // lid → true (published), false, or null where only the number is known
let search = null
let lastBox = null

const boxes = () => findAll('#grid input[name=lids]:not(:disabled)')
const note = (box) => (box.checked ? chosen.set(box.value, box.dataset.published === 'yes') : chosen.delete(box.value))

function clear() {
  chosen.clear()
  lastBox = null
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
  const states = [...chosen.values()]
  const down = states.some((published) => published !== false)
  bar.hidden = chosen.size === 0
  if (chosen.size) count.textContent = withNumber(JSON.parse(count.dataset.samples), chosen.size)
  findAll('[data-for=published]', bar).forEach((button) => (button.hidden = !down))
  findAll('[data-for=unpublished]', bar).forEach((button) => (button.hidden = states.every((published) => published === true)))
  find('[data-for=unpublished]', bar)?.classList.toggle('btn-primary', !down)
  const grid = find('#grid')
  const most = Math.min(MOST, Number(grid?.dataset.total ?? 0))
  const button = find('#bulk-all')
  button.hidden = !(all.length && all.every((box) => box.checked) && chosen.size < most)
  button.textContent = grid?.dataset.all ?? ''
}

export function showSelection() {
  const grid = find('#grid')
  if (grid && grid.dataset.search !== search) {
    clear()
    search = grid.dataset.search
  }
  const all = boxes()
  all.forEach((box) => (box.checked = chosen.has(box.value)))
  showHead(all)
  showBar(all)
}

// Shift extends the last click over the rows between, as in the portal's own lists.
function extend(box) {
  const all = boxes()
  if (!all.includes(lastBox)) return
  const [from, to] = [all.indexOf(lastBox), all.indexOf(box)].sort((a, b) => a - b)
  all.slice(from, to + 1).forEach((between) => {
    between.checked = box.checked
    note(between)
  })
}

document.addEventListener('click', (event) => {
  const box = event.target.closest?.('#grid input[name=lids]')
  if (!box) return
  if (event.shiftKey) extend(box)
  lastBox = box
})

document.addEventListener('change', (event) => {
  if (!event.target.closest('#grid')) return
  if (event.target.id === 'select-all') boxes().forEach((box) => note(Object.assign(box, { checked: event.target.checked })))
  else if (event.target.name === 'lids') note(event.target)
  showSelection()
})

document.addEventListener('htmx:config:request', ({ detail: { ctx } }) => {
  if (!ctx.sourceElement.hasAttribute('data-selection')) return
  ctx.request.body.delete('lids')
  chosen.forEach((_, lid) => ctx.request.body.append('lids', lid))
})

// A view that is left or loaded anew takes its ticks with it; an error answer leaves them alone.
document.addEventListener('htmx:after:swap', ({ detail: { ctx } }) => {
  if (ctx.target?.id === 'view') clear()
})

command('clear-selection', () => {
  clear()
  showSelection()
  find('#select-all')?.focus()
})

command('select-matching', async (button) => {
  const query = new URLSearchParams(new FormData(find('#filters')))
  query.set('ids_only', '1')
  const answer = await ask(`/pages?${query}`, 'application/json', button)
  if (!answer) return
  const { lids } = await answer.json()
  lids.slice(0, MOST).map(String).forEach((lid) => chosen.has(lid) || chosen.set(lid, null))
  showSelection()
})

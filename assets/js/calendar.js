// Scheduled: how many entries are ticked, and an end of a bar dragged to another day. Loaded when that view is first
// shown. Everything here has another way: Reschedule in the agenda and on the run's own page.
import htmx from 'htmx.org'
import { find, findAll } from './dom.js'
import { withNumber } from './plural.js'

const STARTS_AFTER = 6 // pixels: less is a click

// --- ticked entries ---

export function showTicked() {
  const count = find('#entries-count')
  if (!count) return
  const boxes = findAll('#entries input[name=ids]')
  const ticked = boxes.filter((box) => box.checked).length
  if (ticked) count.textContent = withNumber(JSON.parse(count.dataset.samples), ticked)
  const all = find('#select-entries')
  all.checked = ticked > 0 && ticked === boxes.length
  all.indeterminate = ticked > 0 && !all.checked
}

document.addEventListener('change', ({ target }) => {
  if (!target.closest?.('#entries')) return
  const isHead = target.id === 'select-entries'
  if (isHead) findAll('#entries input[name=ids]').forEach((box) => (box.checked = target.checked))
  showTicked()
})

document.addEventListener('reset', ({ target }) => target.id === 'entries' && setTimeout(showTicked))

document.addEventListener('htmx:after:swap', showTicked)

// --- an end, dragged to another day ---

let drag = null // { bar, end, x, y, day, moved }

const dayUnder = (x, y) => document.elementsFromPoint(x, y).find((element) => element.matches('[data-day]'))

function mark(day) {
  findAll('.cal-day.target').forEach((other) => other.classList.remove('target'))
  day?.classList.add('target')
}

// The end on that day, at the time of day it has; null where it would pass the other end.
function moved({ bar, end }, day) {
  const { at, until } = bar.dataset
  const value = `${day}${(end === 'at' ? at : until).slice(10)}`
  if (end === 'at' && until && value >= until) return null
  if (end === 'until' && at && value <= at) return null
  return value
}

function onMove(event) {
  if (Math.hypot(event.clientX - drag.x, event.clientY - drag.y) > STARTS_AFTER) drag.moved = true
  if (!drag.moved) return
  event.preventDefault()
  const day = dayUnder(event.clientX, event.clientY)
  drag.day = day && moved(drag, day.dataset.day) ? day.dataset.day : null
  mark(drag.day && day)
}

function end() {
  document.removeEventListener('pointermove', onMove)
  document.removeEventListener('pointerup', onDrop)
  document.removeEventListener('pointercancel', end)
  document.removeEventListener('keydown', onKey)
  document.body.classList.remove('dragging')
  mark(null)
  drag = null
}

const onKey = (event) => event.key === 'Escape' && end()

function onDrop() {
  const { bar, end: name, day, moved: isDrag } = drag
  const value = day && moved(drag, day)
  end()
  if (!value || value === bar.dataset[name]) return
  const filters = Object.fromEntries(new FormData(find('#agenda-filters')))
  const values = { to: 'scheduled', view: filters.view, day: filters.day, q: filters.q, [name]: value }
  values.zone = find('[data-calendar]').dataset.zone
  htmx.ajax('POST', `/runs/${bar.dataset.run}/move`, { source: bar, target: '#view', values })
}

document.addEventListener('pointerdown', (event) => {
  const handle = event.target.closest?.('[data-end]')
  if (!handle || event.button !== 0) return
  event.preventDefault()
  const bar = handle.closest('[data-run]')
  drag = { bar, end: handle.dataset.end, x: event.clientX, y: event.clientY, day: null, moved: false }
  document.body.classList.add('dragging')
  document.addEventListener('pointermove', onMove)
  document.addEventListener('pointerup', onDrop)
  document.addEventListener('pointercancel', end)
  document.addEventListener('keydown', onKey)
})

showTicked()

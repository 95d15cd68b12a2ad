// Scheduled: how many entries are ticked, and a bar or one end of it dragged to another day. Loaded when that view is
// first shown. Everything here has another way: Reschedule in the agenda and on the run's own page.
import htmx from 'htmx.org'
import { find, findAll } from './dom.js'
import { withNumber } from './plural.js'

const STARTS_AFTER = 6 // pixels: less is a click
const DAY = 86_400_000

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

// --- a bar, or one end of it, dragged to another day ---

let drag = null // { bar, end, x, y, from, days, moved, off }; no `end`: the bar as a whole

const dayUnder = ({ clientX, clientY }) =>
  document.elementsFromPoint(clientX, clientY).find((element) => element.matches('[data-day]'))?.dataset.day

const dayOf = (time) => time?.slice(0, 10)
const daysTo = (day) => (Date.parse(day) - Date.parse(drag.from)) / DAY
const onDay = (time, days) => new Date(Date.parse(dayOf(time)) + days * DAY).toISOString().slice(0, 10) + time.slice(10)

// Both ends as they would be so many days on, each at its time of day; of an end that is dragged only this one.
function shifted(days) {
  const { bar: { dataset }, end } = drag
  const [at, until] = ['at', 'until'].map((name) =>
    dataset[name] && (end ?? name) === name ? onDay(dataset[name], days) : dataset[name])
  return { at, until }
}

function mark(first, last) {
  for (const { dataset: { day }, classList } of findAll('.cal-day')) {
    classList.toggle('target', day >= first && day <= last)
  }
}

function onMove(event) {
  if (drag.off || (!drag.moved && Math.hypot(event.clientX - drag.x, event.clientY - drag.y) <= STARTS_AFTER)) return
  drag.moved = true
  document.body.classList.add('dragging')
  event.preventDefault()
  const day = dayUnder(event)
  const { at, until } = shifted(day ? daysTo(day) : 0)
  drag.days = day && !(at && until <= at) ? daysTo(day) : 0
  if (drag.days) mark(drag.end ? day : dayOf(at ?? until), drag.end ? day : dayOf(until ?? at))
  else mark()
}

function letGo() {
  drag.off = true
  drag.days = 0
  document.body.classList.remove('dragging')
  mark()
}

const onKey = ({ key }) => key === 'Escape' && letGo()

// The browser takes a bar that was dragged onto itself for clicked.
function swallowClick() {
  const swallow = (event) => {
    event.preventDefault()
    event.stopPropagation()
  }
  addEventListener('click', swallow, true)
  setTimeout(() => removeEventListener('click', swallow, true))
}

const during = { pointermove: onMove, pointerup: onDrop, pointercancel: finish, keydown: onKey }

function finish() {
  for (const [name, listener] of Object.entries(during)) document.removeEventListener(name, listener)
  if (drag.moved) swallowClick()
  letGo()
  drag = null
}

function onDrop() {
  const { bar, end, days } = drag
  const times = shifted(days)
  finish()
  if (!days) return
  const { view, day, q } = Object.fromEntries(new FormData(find('#agenda-filters')))
  const { zone } = find('[data-calendar]').dataset
  const order = end ? { [end]: times[end], zone } : { ids: bar.dataset.run, days }
  const path = end ? `/runs/${bar.dataset.run}/move` : '/runs/reschedule'
  htmx.ajax('POST', path, { source: bar, target: '#view', values: { to: 'scheduled', view, day, q, ...order } })
}

// A finger on the bar scrolls; its ends are small enough to be dragged all the same.
document.addEventListener('pointerdown', (event) => {
  const held = event.target.closest?.('[data-end], [data-whole]')
  const end = held?.dataset.end
  if (!held || event.button !== 0 || (!end && event.pointerType === 'touch')) return
  if (end) event.preventDefault()
  const bar = held.closest('[data-run]')
  const from = end ? dayOf(bar.dataset[end]) : dayUnder(event)
  drag = { bar, end, x: event.clientX, y: event.clientY, from, days: 0 }
  for (const [name, listener] of Object.entries(during)) document.addEventListener(name, listener)
})

showTicked()

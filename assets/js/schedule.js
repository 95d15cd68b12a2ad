// Ready-made times beside a time field, computed in the time zone that the form names; and what is wrong with a field,
// said beside it. Loaded with the first form that has such fields.
import { command } from './commands.js'
import { find, findAll } from './dom.js'

const [MONDAY, FRIDAY] = [1, 5]

const FIXED = /^([+-])(\d\d):(\d\d)$/ // an offset as a zone, which not every browser knows

// The wall clock of the zone, as a Date whose UTC fields read like that clock.
function wallClock(zone) {
  const [, sign, hours, minutes] = FIXED.exec(zone) ?? []
  if (sign) return new Date(Date.now() + (sign === '-' ? -1 : 1) * (Number(hours) * 60 + Number(minutes)) * 60000)
  return new Date(`${new Date().toLocaleString('sv-SE', { timeZone: zone }).replace(' ', 'T')}Z`)
}

function at(wall, days, hours, minutes) {
  return new Date(Date.UTC(wall.getUTCFullYear(), wall.getUTCMonth(), wall.getUTCDate() + days, hours, minutes))
}

const daysTo = (weekday, wall) => (weekday - wall.getUTCDay() + 7) % 7

const presets = {
  tonight: (wall) => at(wall, 0, 23, 59),
  friday: (wall) => at(wall, daysTo(FRIDAY, wall), 18, 0),
  'month-end': (wall) => new Date(Date.UTC(wall.getUTCFullYear(), wall.getUTCMonth() + 1, 0, 23, 59)),
  tomorrow: (wall) => at(wall, 1, 8, 0),
  monday: (wall) => at(wall, daysTo(MONDAY, wall) || 7, 8, 0),
  month: (wall) => new Date(Date.UTC(wall.getUTCFullYear(), wall.getUTCMonth() + 1)),
  week: (wall) => at(wall, 7, wall.getUTCHours(), wall.getUTCMinutes()),
}

const fieldOf = (button) => find(`[name=${button.dataset.field}]`, button.form)

// The time a button stands for, or null once it has passed, or while nobody knows the zone. The end of a window counts
// from its beginning, once that is chosen.
function presetTime(button) {
  const { zone } = button.closest('[data-zone]').dataset
  if (!zone) return null
  const now = wallClock(zone)
  const begins = button.dataset.field === 'until' && find('[name=at]', button.form)?.value
  const from = begins ? new Date(Math.max(now, new Date(`${begins.slice(0, 16)}Z`))) : now
  const time = presets[button.dataset.preset](from)
  return time > from ? time : null
}

function fill(field, value) {
  field.value = value
  field.dispatchEvent(new Event('change', { bubbles: true }))
}

const asValue = (time) => time.toISOString().slice(0, 16)

// Hides times that have passed, and marks those that stand in their fields.
function showPresets(root) {
  for (const button of findAll('[data-preset]', root)) {
    const time = presetTime(button)
    button.hidden = !time
    button.setAttribute('aria-pressed', String(Boolean(time) && asValue(time) === fieldOf(button).value.slice(0, 16)))
  }
}

// Where a time is required, the first one left is filled in. What is wrong with times that stand there already is said.
export function offerPresets(root) {
  showPresets(root)
  findAll('#time-note:has([data-wrong])', root).forEach(markAll)
  const first = find('[data-preset]:not([hidden])', root)
  const field = first && find(`[name=${first.dataset.field}]:required`, first.form)
  if (field && !field.value) fill(field, asValue(presetTime(first)))
}

command('preset', (button) => {
  const [field, time] = [fieldOf(button), presetTime(button)]
  if (time) fill(field, asValue(time))
  field.focus()
})

command('use-time', (button) => {
  const field = fieldOf(button)
  fill(field, button.dataset.value)
  field.focus()
})

// What the answer says of a field goes beside it, and keeps the form from being sent until the field is changed.
function mark(place, said) {
  const field = find(`[aria-describedby~=${place.id}]`)
  place.replaceChildren(...(said ? [said.content.cloneNode(true)] : []))
  field.setCustomValidity(find('span', place)?.textContent ?? '')
  field.setAttribute('aria-invalid', String(Boolean(said)))
}

function markAll(note) {
  for (const place of findAll('.wrong', note.closest('form'))) {
    mark(place, find(`[data-wrong=${place.id.replace('-wrong', '')}]`, note))
  }
}

document.addEventListener('htmx:after:swap', ({ detail: { ctx } }) => {
  if (ctx.target?.id === 'time-note') markAll(ctx.target)
})

// What stands beside a field is not said again by the browser, over what stands below.
document.addEventListener('invalid', (event) => {
  const { target } = event
  if (!target.id || !find(`#${target.id}-wrong:not(:empty)`)) return
  event.preventDefault()
  if (target === find('input:invalid', target.form)) target.focus()
}, true)

document.addEventListener('input', ({ target }) => {
  const place = target.id && find(`#${target.id}-wrong:not(:empty)`)
  if (place) mark(place, null)
})

document.addEventListener('change', ({ target }) => {
  if (target.matches('[name=at], [name=until]')) showPresets(target.form)
})

findAll('#time-note:has([data-wrong])').forEach(markAll) // an answer that was quicker than this bundle

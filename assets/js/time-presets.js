// Ready-made times beside a time field, computed in the time zone that the form names.
import { command } from './commands.js'
import { find, findAll } from './dom.js'
import { sendWithRefresh } from './session-refresh.js'

const FRIDAY = 5

// The wall clock of the zone, as a Date whose UTC fields read like that clock.
const wallClock = (zone) => new Date(`${new Date().toLocaleString('sv-SE', { timeZone: zone }).replace(' ', 'T')}Z`)

function at(wall, days, hours, minutes) {
  return new Date(Date.UTC(wall.getUTCFullYear(), wall.getUTCMonth(), wall.getUTCDate() + days, hours, minutes))
}

const presets = {
  tonight: (wall) => at(wall, 0, 23, 59),
  friday: (wall) => at(wall, (FRIDAY - wall.getUTCDay() + 7) % 7, 18, 0),
  'month-end': (wall) => new Date(Date.UTC(wall.getUTCFullYear(), wall.getUTCMonth() + 1, 0, 23, 59)),
}

// The time a button stands for, or null once it has passed.
function presetTime(button) {
  const wall = wallClock(button.closest('[data-zone]').dataset.zone)
  const time = presets[button.dataset.preset](wall)
  return time > wall ? time : null
}

function fill(field, time) {
  field.value = time.toISOString().slice(0, 16)
  field.dispatchEvent(new Event('change', { bubbles: true }))
}

// Hides times that have passed. Where a time is required, the first one left is filled in.
export function offerPresets(root) {
  const buttons = findAll('[data-preset]', root)
  buttons.forEach((button) => (button.hidden = !presetTime(button)))
  const first = buttons.find((button) => !button.hidden)
  const field = first && find(`[name=${first.dataset.field}]:required`, first.form)
  if (field && !field.value) fill(field, presetTime(first))
}

command('preset', (button) => {
  const field = find(`[name=${button.dataset.field}]`, button.form)
  fill(field, presetTime(button))
  field.focus()
})

// The browser's zone, for people whose portal names none: stored for them, and used at once.
const storedZone = document.body.dataset.zone
const zone = storedZone || Intl.DateTimeFormat().resolvedOptions().timeZone

if (storedZone === '') sendWithRefresh('/preferences', { method: 'PUT', body: new URLSearchParams({ zone }) })

document.addEventListener('htmx:config:request', ({ detail: { ctx } }) => {
  const { body, action } = ctx.request
  if (action === '/runs/preview' && !body.get('zone')) body.set('zone', zone)
})
